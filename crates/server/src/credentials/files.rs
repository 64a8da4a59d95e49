//! The files of the credentials: their paths, and reading them.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::CredentialsError;
use super::flags::CredentialFlags;

pub(super) const CERTIFICATE: &str = "--tls-certificate-file";
pub(super) const KEY: &str = "--tls-key-file";
pub(super) const CLIENT_CA: &str = "--tls-client-ca-file";
pub(super) const TOKENS: &str = "--token-file";

/// Longest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// SHA-256 of the contents of one or several files.
pub(super) type Digest = [u8; 32];

/// The files that the flags name.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub(super) tls: Option<TlsFiles>,
    pub(super) tokens: Option<PathBuf>,
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
        Ok(Self { tls, tokens })
    }
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

/// A digest that differs between different contents.
pub(super) fn digest<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = Sha256::new();
    for content in contents {
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    hasher.finalize().into()
}
