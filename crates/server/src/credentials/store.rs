//! The credentials that are in use.
//!
//! They are one value behind one `ArcSwap`, which a handshake and a request read once.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use digits_telemetry::admin::ScrapeRefused;
use http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

use super::certificate::ClientCertificate;
use super::error::CredentialsError;
use super::files::{Digest, Files, JWT_KEYS, ROLES, content_digest, read};
use super::flags::CredentialFlags;
use super::jwt::{Fetcher, InvalidJwt, KeyRequests, KeySet, KeySource, Verifier};
use super::refusal::{AuthenticationError, Refusal};
use super::role_rules::{self, RoleRules};
use super::roles::{Identity, Role, Roles};
use super::tls::{self, Tls};
use super::tokens::{self, Tokens, bearer};

/// The credentials of a port. Clones share them.
#[derive(Clone)]
pub struct Credentials {
    pub(super) shared: Arc<Shared>,
}

#[derive(Default)]
pub(super) struct Shared {
    pub(super) files: Files,
    /// Digests of the files as they were at the start.
    pub(super) first: FirstDigests,
    /// Keys of JWTs behind an address.
    pub(super) fetched_keys: Option<FetchedKeys>,
    pub(super) current: ArcSwap<Current>,
}

/// Digests of the files as they were at the start.
#[derive(Clone, Copy, Default)]
pub(super) struct FirstDigests {
    pub(super) tls: Option<Digest>,
    pub(super) tokens: Option<Digest>,
    pub(super) roles: Option<Digest>,
    pub(super) keys: Option<Digest>,
}

pub(super) struct FetchedKeys {
    pub(super) fetcher: Fetcher,
    pub(super) requests: KeyRequests,
}

/// What must agree.
#[derive(Clone, Default)]
pub(super) struct Current {
    pub(super) tls: Option<Tls>,
    pub(super) tokens: Option<Arc<Tokens>>,
    rules: Option<Arc<RoleRules>>,
    keys: Arc<KeySet>,
    /// For the rules and keys above.
    jwts: Option<Arc<Verifier>>,
}

impl CredentialFlags {
    /// Reads the files and checks that they can be used. Blocks.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn load(&self) -> Result<Credentials, CredentialsError> {
        let files = Files::new(self)?;
        let (tls, first_tls) = files.tls.as_ref().map(tls::load).transpose()?.unzip();
        let tokens = files.tokens.as_deref().map(tokens::load).transpose()?;
        let (tokens, first_tokens) = tokens.unzip();
        let mut shared = Shared {
            first: FirstDigests {
                tls: first_tls,
                tokens: first_tokens,
                ..FirstDigests::default()
            },
            ..Shared::default()
        };
        let (mut rules, mut keys) = (None, Arc::default());
        if let Some(path) = &files.roles {
            let content = read(ROLES, path)?;
            rules = Some(role_rules::build(path, &content, files.methods())?);
            shared.first.roles = Some(content_digest(&content));
        }
        match files.jwt.as_ref().map(|jwt| &jwt.keys) {
            Some(KeySource::File(path)) => {
                let content = read(JWT_KEYS, path)?;
                let parsed = KeySet::parse(&content);
                keys = Arc::new(parsed.map_err(|it| CredentialsError::file(JWT_KEYS, path, it))?);
                shared.first.keys = Some(content_digest(&content));
            }
            Some(KeySource::Url(url)) => {
                shared.fetched_keys = Some(FetchedKeys {
                    fetcher: Fetcher::new(url)?,
                    requests: KeyRequests::default(),
                });
            }
            None => {}
        }
        shared.files = files;
        shared.update(|current| {
            (current.tls, current.tokens) = (tls.clone(), tokens.clone());
            (current.rules, current.keys) = (rules.clone(), Arc::clone(&keys));
        });
        Ok(Credentials {
            shared: Arc::new(shared),
        })
    }
}

impl Shared {
    /// Changes what is in use. `change` may run more than once.
    pub(super) fn update(&self, change: impl Fn(&mut Current)) {
        self.current.rcu(|current| {
            let mut next = Current::clone(current);
            change(&mut next);
            let is_changed = !Arc::ptr_eq(&next.keys, &current.keys)
                || next.rules.as_ref().map(Arc::as_ptr) != current.rules.as_ref().map(Arc::as_ptr);
            if is_changed && let (Some(jwt), Some(rules)) = (&self.files.jwt, &next.rules) {
                let (keys, rules) = (Arc::clone(&next.keys), Arc::clone(rules));
                let verifier = Verifier::new(jwt.expected.clone(), keys, rules);
                next.jwts = Some(Arc::new(verifier));
            }
            next
        });
    }
}

impl Current {
    pub(super) fn set_rules(&mut self, rules: &Arc<RoleRules>) {
        self.rules = Some(Arc::clone(rules));
    }

    pub(super) fn set_keys(&mut self, keys: &Arc<KeySet>) {
        self.keys = Arc::clone(keys);
    }

    fn client_of_token(&self, token: &[u8]) -> Result<Identity, AuthenticationError> {
        let digest: Digest = Sha256::digest(token).into();
        let tokens = self.tokens.as_ref();
        if let Some(client) = tokens.and_then(|tokens| tokens.client_of(&digest)) {
            return Ok(client);
        }
        let Some(jwts) = &self.jwts else {
            return Err(AuthenticationError::Unknown);
        };
        jwts.client_of(token, &digest, now())
            .map_err(|error| match error {
                // It may be a token of the token file, with a mistake in it.
                InvalidJwt::Malformed if tokens.is_some() => AuthenticationError::Unknown,
                InvalidJwt::UnknownKey if !jwts.has_keys() => AuthenticationError::NoKeys,
                error => error.into(),
            })
    }
}

impl Credentials {
    /// Whether the port speaks TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.shared.files.tls.is_some()
    }

    /// Whether clients must prove who they are, by a token, a JWT or a certificate with roles.
    #[must_use]
    pub fn needs_identity(&self) -> bool {
        self.shared.files.tokens.is_some() || self.shared.files.roles.is_some()
    }

    /// Whether clients send tokens, or JWTs.
    #[must_use]
    pub fn takes_tokens(&self) -> bool {
        self.shared.files.tokens.is_some() || self.shared.files.jwt.is_some()
    }

    /// Whether the names of client certificates have roles.
    pub(crate) fn uses_client_names(&self) -> bool {
        self.shared.files.roles.is_some() && self.shared.files.methods().certificates
    }

    /// For a handshake that begins now.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        let current = self.shared.current.load();
        current.tls.as_ref().map(|tls| tls.acceptor.clone())
    }

    /// For a connection of the admin port that begins now: it has the same certificate, and its
    /// clients need none.
    #[must_use]
    pub fn admin_acceptor(&self) -> Option<TlsAcceptor> {
        let current = self.shared.current.load();
        current.tls.as_ref().map(|tls| tls.admin_acceptor.clone())
    }

    /// Checks that a request with these headers may read the metrics on the admin port: its token
    /// needs the role `watch`.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check_scrape(&self, headers: &HeaderMap) -> Result<(), ScrapeRefused> {
        match self.authenticate(headers, None) {
            Ok(Some(client)) if !client.has_any(Roles::of(&[Role::Watch])) => {
                let Identity { name, roles } = client;
                let text = format!(
                    "/metrics needs the role watch or admin; the client {name} has {roles}"
                );
                Err(ScrapeRefused::Denied(text))
            }
            Ok(_) => Ok(()),
            Err(Refusal { reason, .. }) if reason == AuthenticationError::NoKeys => {
                Err(ScrapeRefused::Unavailable(reason.to_string()))
            }
            Err(Refusal { reason, .. }) => Err(ScrapeRefused::Unauthenticated(reason.to_string())),
        }
    }

    /// When the certificate expires, in seconds since 1970.
    pub(super) fn expires(&self) -> Option<i64> {
        let current = self.shared.current.load();
        current.tls.as_ref().map(|tls| tls.expires)
    }

    /// Why clients refuse the certificate.
    pub(super) fn doubts(&self) -> Vec<&'static str> {
        let current = self.shared.current.load();
        let tls = current.tls.as_ref();
        tls.map_or_else(Vec::new, |tls| tls.doubts.clone())
    }

    /// The client of a request, by its token; without a token, by the certificate of its
    /// connection. `None` where clients need not prove who they are.
    pub(crate) fn authenticate(
        &self,
        headers: &HeaderMap,
        certificate: Option<&ClientCertificate>,
    ) -> Result<Option<Identity>, Refusal> {
        if !self.needs_identity() {
            return Ok(None);
        }
        let current = self.shared.current.load();
        let token = headers.get(header::AUTHORIZATION).and_then(bearer);
        let Some(token) = token.filter(|_| self.takes_tokens()) else {
            let certificate = certificate.ok_or(AuthenticationError::Missing)?;
            let rules = current.rules.as_ref();
            let client = rules.and_then(|rules| rules.of_certificate(certificate));
            return client
                .map(Some)
                .ok_or_else(|| AuthenticationError::UnknownCertificate.into());
        };
        let client = current.client_of_token(token);
        client.map(Some).map_err(|reason| {
            use AuthenticationError::{Jwt, NoKeys};
            let may_be_new = matches!(reason, Jwt(InvalidJwt::UnknownKey) | NoKeys);
            let fetched = self.shared.fetched_keys.as_ref().filter(|_| may_be_new);
            let keys = fetched.and_then(|fetched| fetched.requests.ask());
            Refusal { reason, keys }
        })
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl Default for Credentials {
    /// None: plain text, and open to everybody.
    fn default() -> Self {
        Self {
            shared: Arc::default(),
        }
    }
}

impl fmt::Debug for Credentials {
    /// Shows the paths of the files, and nothing of their contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.files.fmt(f)
    }
}
