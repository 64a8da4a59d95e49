//! The role file: which roles clients have by the names in their certificate, or by the claims of
//! their JWT. Who a client is has been verified before.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::certificate::{ClientCertificate, KINDS};
use super::error::CredentialsError;
use super::files::{Methods, ROLES};
use super::roles::{Identity, Roles};

/// Most lines.
const MAX_RULES: usize = 1000;

/// The roles of clients.
#[derive(Debug, Default)]
pub(super) struct RoleRules {
    /// Roles of a name of a certificate, such as `DNS:loader.example`.
    names: HashMap<String, Roles>,
    /// Roles of all names that begin so.
    prefixes: Vec<(String, Roles)>,
    claims: Vec<ClaimRule>,
}

#[derive(Debug)]
struct ClaimRule {
    claim: String,
    pattern: Pattern,
    roles: Roles,
}

#[derive(Debug)]
enum Pattern {
    Whole(String),
    Prefix(String),
}

impl Pattern {
    /// `text`, or a prefix that ends with `*`.
    fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Whole(text.to_owned()),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Whole(whole) => whole == text,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }
}

impl RoleRules {
    /// Parses lines `ROLES WHO`, for clients that prove themselves by `methods`.
    pub(super) fn parse(content: &[u8], methods: Methods) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "is not text".to_owned())?;
        let mut rules = Self::default();
        let lines = text.lines().map(str::trim).enumerate();
        for (index, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            rules
                .add(line, methods)
                .map_err(|what| format!("line {}: {what}", index + 1))?;
        }
        match rules.names.len() + rules.prefixes.len() + rules.claims.len() {
            0 => Err("has no line ROLES WHO".to_owned()),
            1..=MAX_RULES => Ok(rules),
            count => Err(format!("has {count} lines; the limit is {MAX_RULES}")),
        }
    }

    fn add(&mut self, line: &str, methods: Methods) -> Result<(), String> {
        let form = "must be ROLES WHO, with WHO as DNS:HOST, URI:…, email:… or CLAIM=VALUE";
        let (roles, who) = line.split_once(char::is_whitespace).ok_or(form)?;
        let roles: Roles = roles.parse().map_err(|error| format!("{error}"))?;
        let who = who.trim_start();
        let kind = KINDS.into_iter().find(|kind| who.starts_with(kind));
        if let Some(kind) = kind {
            if !methods.certificates {
                return Err(
                    "names a client certificate, which needs --tls-client-ca-file".to_owned(),
                );
            }
            let name = match kind {
                "DNS:" => format!("{kind}{}", who[kind.len()..].to_ascii_lowercase()),
                _ => who.to_owned(),
            };
            match Pattern::new(&name) {
                Pattern::Whole(name) => {
                    let known = self.names.entry(name).or_default();
                    *known = known.union(roles);
                }
                Pattern::Prefix(prefix) => self.prefixes.push((prefix, roles)),
            }
            return Ok(());
        }
        let (claim, value) = who.split_once('=').ok_or(form)?;
        if claim.is_empty() || value.is_empty() {
            return Err(form.to_owned());
        }
        if !methods.jwts {
            return Err("names a claim of a JWT, which needs --jwt-issuer".to_owned());
        }
        self.claims.push(ClaimRule {
            claim: claim.to_owned(),
            pattern: Pattern::new(value),
            roles,
        });
        Ok(())
    }

    /// The client of a certificate, under the first of its names that has roles.
    pub(super) fn of_certificate(&self, certificate: &ClientCertificate) -> Option<Identity> {
        let mut client: Option<Identity> = None;
        for name in certificate.names() {
            let roles = self.of_name(name);
            if roles == Roles::default() {
                continue;
            }
            let client = client.get_or_insert_with(|| Identity {
                name: Arc::clone(name),
                roles,
            });
            client.roles = client.roles.union(roles);
        }
        client
    }

    fn of_name(&self, name: &str) -> Roles {
        let whole = self.names.get(name).copied().unwrap_or_default();
        let prefixes = self.prefixes.iter();
        let prefixes = prefixes.filter(|(prefix, _)| name.starts_with(prefix.as_str()));
        prefixes.fold(whole, |all, (_, roles)| all.union(*roles))
    }

    /// The roles of the client of a JWT with these claims. A claim that is a list has the value if
    /// one of its elements does, and `scope` if one of its words does (RFC 8693, section 4.2).
    pub(super) fn of_claims(&self, claims: &Map<String, Value>) -> Roles {
        let rules = self.claims.iter();
        let rules = rules.filter(|rule| {
            let matches = |text: &str| rule.pattern.matches(text);
            match claims.get(&rule.claim) {
                Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(matches),
                Some(Value::String(words)) if rule.claim == "scope" => {
                    words.split_ascii_whitespace().any(matches)
                }
                Some(Value::String(text)) => matches(text),
                _ => false,
            }
        });
        rules.fold(Roles::default(), |all, rule| all.union(rule.roles))
    }
}

/// Parses the content of the file at `path`.
pub(super) fn build(
    path: &Path,
    content: &[u8],
    methods: Methods,
) -> Result<Arc<RoleRules>, CredentialsError> {
    let rules = RoleRules::parse(content, methods);
    let rules = rules.map_err(|reason| CredentialsError::file(ROLES, path, reason))?;
    Ok(Arc::new(rules))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BOTH: Methods = Methods {
        certificates: true,
        jwts: true,
    };

    fn rules(text: &str) -> RoleRules {
        RoleRules::parse(text.as_bytes(), BOTH).expect(text)
    }

    #[test]
    fn a_certificate_has_the_roles_of_all_its_names() {
        let rules = rules(
            "# loaders\npredict DNS:Loader.example\nwatch DNS:loader.example\n\
             train URI:spiffe://cluster.local/ns/digits/*\nadmin email:root@example.com\n",
        );
        for (names, client, roles) in [
            (
                &["DNS:loader.example"][..],
                "DNS:loader.example",
                "predict,watch",
            ),
            (
                &[
                    "DNS:other",
                    "URI:spiffe://cluster.local/ns/digits/sa/ci",
                    "DNS:loader.example",
                ],
                "URI:spiffe://cluster.local/ns/digits/sa/ci",
                "predict,watch,train",
            ),
            (
                &["email:root@example.com"],
                "email:root@example.com",
                "admin",
            ),
        ] {
            let found = rules.of_certificate(&ClientCertificate::named(names));
            let found = found.expect(client);
            assert_eq!((&*found.name, &*found.roles.to_string()), (client, roles));
        }
        for name in [
            "DNS:loader.example.org",
            "URI:spiffe://cluster.local/ns/digit",
            "URI:loader.example",
        ] {
            assert_eq!(
                rules.of_certificate(&ClientCertificate::named(&[name])),
                None
            );
        }
    }

    #[test]
    fn claims_have_roles() {
        let rules = rules(
            "watch,train sub=system:serviceaccount:digits:ci\npredict sub=system:serviceaccount:web:*\n\
             promote groups=Night Shift\nadmin https://example.com/roles=admin\nwatch scope=digits.read\n",
        );
        for (claims, roles) in [
            (
                json!({"sub": "system:serviceaccount:digits:ci"}),
                "watch,train",
            ),
            (json!({"sub": "system:serviceaccount:digits:ci2"}), "none"),
            (json!({"sub": "system:serviceaccount:web:a"}), "predict"),
            (json!({"groups": ["a", "Night Shift"]}), "promote"),
            (json!({"groups": "Night Shift"}), "promote"),
            (json!({"groups": ["night shift", 7]}), "none"),
            (json!({"https://example.com/roles": "admin"}), "admin"),
            (json!({"scope": "openid digits.read"}), "watch"),
            (json!({"groups": "a Night Shift"}), "none"),
            (json!({"sub": 7}), "none"),
        ] {
            let found = rules.of_claims(claims.as_object().expect("an object"));
            assert_eq!(found.to_string(), roles, "{claims}");
        }
    }

    #[test]
    fn an_error_names_the_line() {
        for (text, methods, part) in [
            ("# nothing\n", BOTH, "no line"),
            ("watch\n", BOTH, "line 1: must be ROLES WHO"),
            ("watch a\n", BOTH, "line 1: must be ROLES WHO"),
            ("watch =a\n", BOTH, "line 1: must be ROLES WHO"),
            ("\nroot sub=a\n", BOTH, "line 2: roles are predict"),
            (
                "watch DNS:a\n",
                Methods {
                    certificates: false,
                    ..BOTH
                },
                "line 1: names a client certificate, which needs --tls-client-ca-file",
            ),
            (
                "watch sub=a\n",
                Methods {
                    jwts: false,
                    ..BOTH
                },
                "line 1: names a claim of a JWT, which needs --jwt-issuer",
            ),
        ] {
            let error = RoleRules::parse(text.as_bytes(), methods).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
