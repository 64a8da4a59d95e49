//! Bearer tokens: parses the file that lists them, and looks up the token of a request. Only
//! digests are kept.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::error::CredentialsError;
use super::files::{Digest, TOKENS, content_digest, read};
use super::roles::{Identity, Roles};

/// Each token costs every request a comparison.
const MAX_TOKENS: usize = 1000;
/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// The valid tokens.
pub(super) struct Tokens(Vec<Token>);

struct Token {
    client: Identity,
    digest: [u8; 32],
}

impl Tokens {
    /// The client of a token, by the SHA-256 of the token. Takes the same time for every token: its
    /// digest is compared with all others, each to the end.
    pub(super) fn client_of(&self, digest: &Digest) -> Option<Identity> {
        let mut found = None;
        for known in &self.0 {
            let pairs = known.digest.iter().zip(digest);
            let difference = pairs.fold(0, |difference, (a, b)| difference | (a ^ b));
            if black_box(difference) == 0 {
                found = Some(&known.client);
            }
        }
        found.cloned()
    }

    /// Parses lines `NAME ROLES SHA256`, and lines `NAME TOKEN` of tokens with every role. A name
    /// may have several tokens, for example while one replaces another.
    fn parse(content: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "is not text".to_owned())?;
        let mut tokens: Vec<Token> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let token = parse_line(line);
            let token = token.map_err(|what| format!("line {}: {what}", index + 1))?;
            if tokens.iter().any(|other| other.digest == token.digest) {
                let line = index + 1;
                return Err(format!("line {line}: repeats the token of an earlier line"));
            }
            tokens.push(token);
        }
        match tokens.len() {
            0 => Err("has no token; `digits token create` makes a line".to_owned()),
            1..=MAX_TOKENS => Ok(Self(tokens)),
            count => Err(format!("has {count} tokens; the limit is {MAX_TOKENS}")),
        }
    }
}

/// Parses a line that is not empty. It may hold a secret, so the error shows nothing of it.
fn parse_line(line: &str) -> Result<Token, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (name, roles, digest) = match *words {
        [name, token] if token.bytes().all(is_token_byte) => {
            (name, Roles::ALL, Sha256::digest(token).into())
        }
        [_, _] => {
            return Err(
                "the token must consist of A-Z, a-z, 0-9, `-`, `.`, `_`, `~`, `+`, `/`, `=`"
                    .to_owned(),
            );
        }
        [name, roles, digest] => {
            let roles = roles.parse().map_err(|error| format!("{error}"))?;
            let digest = parse_digest(digest)
                .ok_or("the third word must be the token's SHA-256, 64 hexadecimal digits")?;
            (name, roles, digest)
        }
        _ => return Err("must be NAME ROLES SHA256, or NAME TOKEN".to_owned()),
    };
    if name.len() > MAX_NAME_BYTES || !name.bytes().all(is_name_byte) {
        return Err("the name must be 1 to 63 of A-Z, a-z, 0-9, `-`, `_`, `.`".to_owned());
    }
    let client = Identity {
        name: name.into(),
        roles,
    };
    Ok(Token { client, digest })
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes?.try_into().ok()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// A byte of a token by RFC 6750, section 2.1.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

/// Reads the tokens of a file, with the digest of its contents. Blocks.
pub(super) fn load(path: &Path) -> Result<(Arc<Tokens>, Digest), CredentialsError> {
    let content = read(TOKENS, path)?;
    Ok((build(path, &content)?, content_digest(&content)))
}

pub(super) fn build(path: &Path, content: &[u8]) -> Result<Arc<Tokens>, CredentialsError> {
    let tokens = Tokens::parse(content);
    let tokens = tokens.map_err(|reason| CredentialsError::file(TOKENS, path, reason))?;
    Ok(Arc::new(tokens))
}

/// The token of a header `Bearer TOKEN` (RFC 6750). The scheme is case-insensitive (RFC 9110).
pub(super) fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Tokens {
        fn client_of_token(&self, token: &[u8]) -> Option<Identity> {
            self.client_of(&Sha256::digest(token).into())
        }
    }

    #[test]
    fn a_token_file_has_lines_of_name_and_token() {
        let tokens = Tokens::parse(b"# issued in May\n\nalice a.b~c\r\n  bob\tB+/=  \nalice new\n");
        let tokens = tokens.expect("three tokens");
        for (token, name) in [
            ("a.b~c", Some("alice")),
            ("B+/=", Some("bob")),
            ("new", Some("alice")),
            ("a.b~", None),
            ("", None),
            ("alice", None),
        ] {
            assert_eq!(
                tokens
                    .client_of_token(token.as_bytes())
                    .map(|it| it.name.to_string())
                    .as_deref(),
                name,
                "{token}"
            );
        }
    }

    #[test]
    fn an_error_names_the_line_and_not_the_secret() {
        for (content, part) in [
            ("# nothing\n", "no token"),
            ("secret\n", "line 1: must be NAME ROLES"),
            ("a ok\nb two secret\n", "line 2: roles are predict, watch"),
            ("a ok\nb watch secret\n", "line 2: the third word"),
            ("a ok\nb watch secret x\n", "line 2: must be NAME ROLES"),
            ("a,b secret\n", "line 1: the name"),
            ("a secr\u{e9}t\n", "line 1: the token"),
            ("a secret\nb secret\n", "line 2: repeats the token of"),
        ] {
            let error = Tokens::parse(content.as_bytes()).err().expect(content);
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("secr"), "{error}");
        }
        let name = "n".repeat(64);
        let long = Tokens::parse(format!("{name} t\n").as_bytes());
        assert!(long.err().expect("too long").contains("1 to 63"));
        let many: String = (0..1001).map(|n| format!("a {n}\n")).collect();
        let error = Tokens::parse(many.as_bytes()).err().expect("too many");
        assert!(error.contains("1001 tokens"), "{error}");
        assert!(Tokens::parse(b"a \xff\n").is_err());
    }

    #[test]
    fn a_line_may_have_roles_and_the_digest_of_its_token() {
        // SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let upper = digest.to_uppercase();
        for digest in [digest, &upper] {
            let line = format!("alice watch,train {digest}\nbob secret\n");
            let tokens = Tokens::parse(line.as_bytes()).expect("two tokens");
            let alice = tokens.client_of_token(b"abc").expect("alice");
            assert_eq!(
                (&*alice.name, &*alice.roles.to_string()),
                ("alice", "watch,train")
            );
            let bob = tokens.client_of_token(b"secret").expect("bob");
            assert_eq!(bob.roles, Roles::ALL);
            assert_eq!(tokens.client_of_token(digest.as_bytes()), None);
        }
        let twice = format!("alice watch {digest}\nbob abc\n");
        let error = Tokens::parse(twice.as_bytes())
            .err()
            .expect("the same token");
        assert!(error.contains("line 2: repeats"), "{error}");
    }

    #[test]
    fn a_bearer_token_is_read_from_its_header() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic abc", None),
            ("Bearerabc", None),
            ("", None),
        ] {
            let value = HeaderValue::from_static(value);
            assert_eq!(bearer(&value), token.map(str::as_bytes), "{value:?}");
        }
    }
}
