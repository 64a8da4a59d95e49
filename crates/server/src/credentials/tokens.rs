//! Bearer tokens: parses the file that lists them, and looks up the token of a request. Only
//! digests are kept.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::error::CredentialsError;
use super::files::{Digest, TOKENS, digest, read};

/// Each token costs every request a comparison.
const MAX_TOKENS: usize = 1000;
/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// The valid tokens.
pub(super) struct Tokens(Vec<Token>);

struct Token {
    name: Arc<str>,
    digest: [u8; 32],
}

impl Tokens {
    /// The name of a token. Takes the same time for every token: its digest is compared with all
    /// others, each to the end.
    pub(super) fn name_of(&self, token: &[u8]) -> Option<Arc<str>> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for known in &self.0 {
            let pairs = known.digest.iter().zip(&digest);
            let difference = pairs.fold(0, |difference, (a, b)| difference | (a ^ b));
            if black_box(difference) == 0 {
                found = Some(&known.name);
            }
        }
        found.cloned()
    }

    /// Parses lines `NAME TOKEN`. A name may have several tokens, for example while one replaces
    /// another.
    fn parse(content: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "is not text".to_owned())?;
        let mut tokens: Vec<Token> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line may hold a secret, so the error shows nothing of it.
            let refuse = |what: &str| Err(format!("line {}: {what}", index + 1));
            let mut words = line.split_whitespace();
            let (Some(name), Some(token), None) = (words.next(), words.next(), words.next()) else {
                return refuse("must be NAME TOKEN");
            };
            if name.len() > MAX_NAME_BYTES || !name.bytes().all(is_name_byte) {
                return refuse("the name must be 1 to 63 of A-Z, a-z, 0-9, `-`, `_`, `.`");
            }
            if !token.bytes().all(is_token_byte) {
                return refuse(
                    "the token must consist of A-Z, a-z, 0-9, `-`, `.`, `_`, `~`, `+`, `/`, `=`",
                );
            }
            let digest: [u8; 32] = Sha256::digest(token).into();
            if tokens.iter().any(|other| other.digest == digest) {
                return refuse("repeats the token of an earlier line");
            }
            tokens.push(Token {
                name: name.into(),
                digest,
            });
        }
        match tokens.len() {
            0 => Err("has no token; add a line NAME TOKEN".to_owned()),
            1..=MAX_TOKENS => Ok(Self(tokens)),
            count => Err(format!("has {count} tokens; the limit is {MAX_TOKENS}")),
        }
    }
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

pub(super) fn content_digest(content: &[u8]) -> Digest {
    digest([content])
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
            assert_eq!(tokens.name_of(token.as_bytes()).as_deref(), name, "{token}");
        }
    }

    #[test]
    fn an_error_names_the_line_and_not_the_secret() {
        for (content, part) in [
            ("# nothing\n", "no token"),
            ("secret\n", "line 1: must be NAME TOKEN"),
            ("a ok\nb two secret\n", "line 2: must be NAME TOKEN"),
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
