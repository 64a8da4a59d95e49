//! The files of the credentials: their paths, and reading them.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::CredentialsError;
use super::flags::CredentialFlags;
use super::jwt::{JwtSettings, KeySource};

pub(super) const CERTIFICATE: &str = "--tls-certificate-file";
pub(super) const KEY: &str = "--tls-key-file";
pub(super) const CLIENT_CA: &str = "--tls-client-ca-file";
pub(super) const TOKENS: &str = "--token-file";
pub(super) const ROLES: &str = "--role-file";
const JWT_ISSUER: &str = "--jwt-issuer";
const JWT_AUDIENCE: &str = "--jwt-audience";
pub(super) const JWT_KEYS: &str = "--jwt-keys";
pub(super) const JWT_KEYS_CA: &str = "--jwt-keys-ca-file";
pub(super) const JWT_KEYS_TOKEN: &str = "--jwt-keys-token-file";

/// Longest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// SHA-256 of the contents of one or several files.
pub(super) type Digest = [u8; 32];

/// The files that the flags name.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub(super) tls: Option<TlsFiles>,
    pub(super) tokens: Option<PathBuf>,
    pub(super) roles: Option<PathBuf>,
    pub(super) jwt: Option<JwtSettings>,
}

/// How clients prove who they are, besides tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Methods {
    /// By a certificate: the port has authorities of client certificates.
    pub(super) certificates: bool,
    /// By a JWT: the port has an issuer.
    pub(super) jwts: bool,
}

/// The files of TLS.
#[derive(Clone, Debug)]
pub(super) struct TlsFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: Option<PathBuf>,
}

impl Files {
    /// The files that `flags` name.
    pub(super) fn new(flags: &CredentialFlags) -> Result<Self, CredentialsError> {
        let given = |path: &Option<PathBuf>| path.clone().filter(|it| !it.as_os_str().is_empty());
        let alone = |flag, missing| Err(CredentialsError::Alone { flag, missing });
        let client_ca = given(&flags.tls_client_ca_file);
        let pair = (
            given(&flags.tls_certificate_file),
            given(&flags.tls_key_file),
        );
        let tls = match pair {
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate,
                key,
                client_ca,
            }),
            (Some(_), None) => return alone(CERTIFICATE, KEY),
            (None, Some(_)) => return alone(KEY, CERTIFICATE),
            (None, None) if client_ca.is_some() => return alone(CLIENT_CA, CERTIFICATE),
            (None, None) => None,
        };
        let tokens = given(&flags.token_file);
        let roles = given(&flags.role_file);
        let jwt = jwt(flags)?;
        let files = Self {
            tls,
            tokens,
            roles,
            jwt,
        };
        let methods = files.methods();
        match files.roles {
            None if files.jwt.is_some() => alone(JWT_ISSUER, ROLES),
            Some(_) if !methods.certificates && !methods.jwts => {
                alone(ROLES, "--tls-client-ca-file or --jwt-issuer")
            }
            _ => Ok(files),
        }
    }

    /// How clients prove who they are, besides tokens.
    pub(super) fn methods(&self) -> Methods {
        let tls = self.tls.as_ref();
        Methods {
            certificates: tls.is_some_and(|tls| tls.client_ca.is_some()),
            jwts: self.jwt.is_some(),
        }
    }
}

/// The settings of JWTs: issuer, audience and keys, or nothing.
fn jwt(flags: &CredentialFlags) -> Result<Option<JwtSettings>, CredentialsError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let path = |path: &Option<PathBuf>| path.clone().filter(|it| !it.as_os_str().is_empty());
    let alone = |flag, missing| CredentialsError::Alone { flag, missing };
    let (ca, token) = (
        path(&flags.jwt_keys_ca_file),
        path(&flags.jwt_keys_token_file),
    );
    let (audience, keys) = (given(&flags.jwt_audience), given(&flags.jwt_keys));
    let Some(issuer) = given(&flags.jwt_issuer) else {
        let others = [
            (audience.is_some(), JWT_AUDIENCE),
            (keys.is_some(), JWT_KEYS),
            (ca.is_some(), JWT_KEYS_CA),
            (token.is_some(), JWT_KEYS_TOKEN),
        ];
        return match others.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, flag)) => Err(alone(flag, JWT_ISSUER)),
            None => Ok(None),
        };
    };
    let audience = audience.ok_or_else(|| alone(JWT_ISSUER, JWT_AUDIENCE))?;
    let keys = keys.ok_or_else(|| alone(JWT_ISSUER, JWT_KEYS))?;
    let refuse = |reason| CredentialsError::Value {
        flag: JWT_KEYS,
        value: keys.clone(),
        reason,
    };
    let source = KeySource::parse(&keys);
    let mut source = source.ok_or_else(|| {
        refuse("must be a file, or an https:// address: somebody else could put other keys into plain http")
    })?;
    if !source.set_credentials(ca, token) {
        return Err(refuse(
            "is a file: --jwt-keys-ca-file and --jwt-keys-token-file are for an https:// address",
        ));
    }
    Ok(Some(JwtSettings::new(issuer, audience, source)))
}

/// Reads a whole file. Blocks.
pub(super) fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, CredentialsError> {
    let refuse = |reason: String| CredentialsError::file(flag, path, reason);
    let unreadable = |error: std::io::Error| refuse(error.to_string());
    // A pipe would block, and is empty when it is read again.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(refuse("is not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.trim_ascii().is_empty() {
        return Err(refuse("is empty".to_owned()));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(refuse("is UTF-16: save it as UTF-8".to_owned()));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(refuse(format!("has more than {MAX_BYTES} bytes")));
    }
    Ok(without_byte_order_mark(bytes))
}

/// Editors on Windows put the mark before the first line, which then is none of PEM or of tokens.
fn without_byte_order_mark(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    bytes
}

/// The digest of the content of one file.
pub(super) fn content_digest(content: &[u8]) -> Digest {
    digest([content])
}

/// A digest that differs between different contents.
pub(super) fn digest<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = Sha256::new();
    for content in contents {
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    hasher.finalize().into()
}
