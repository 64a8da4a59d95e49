//! Credentials for the remote-write receiver: a bearer token and CA certificates, both from files.
//! The token is read again before each push, because Kubernetes may replace a mounted Secret at any
//! time.

use super::address::Address;
use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};
use ureq::{
    http::HeaderValue,
    tls::{Certificate, PemItem, RootCerts, parse_pem},
};

const BYTES_AT_MOST: u64 = 1 << 20;

/// A remote-write receiver and the credentials for it.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Address of the receiver.
    pub address: Address,
    /// File with the bearer token to send.
    pub token_file: Option<PathBuf>,
    /// File with CA certificates (PEM) to trust; `None` for the public CAs.
    pub ca_file: Option<PathBuf>,
}

impl Receiver {
    /// Reads the token; returns the value of the `Authorization` header.
    ///
    /// # Errors
    /// One line that names the flag, the file and the remedy.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let refuse =
            |reason: String| format!("--remote-write-token-file {}: {reason}", path.display());
        let bytes = read_file(path).map_err(refuse)?;
        let token = bytes.trim_ascii();
        if token.is_empty() {
            return Err(refuse("is empty: put the token into it".to_owned()));
        }
        // The characters of RFC 6750, section 2.1.
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        let header = [b"Bearer ", token].concat();
        let header = HeaderValue::try_from(header).ok();
        let Some(mut header) = header.filter(|_| token.iter().all(good)) else {
            return Err(refuse(
                "must be one bearer token and nothing else".to_owned(),
            ));
        };
        header.set_sensitive(true);
        Ok(Some(header))
    }

    /// The CA certificates to trust.
    ///
    /// # Errors
    /// As [`Self::authorization`].
    pub(super) fn authorities(&self) -> Result<RootCerts, String> {
        match &self.ca_file {
            Some(path) => root_certs("--remote-write-ca-file", path),
            None => Ok(RootCerts::WebPki),
        }
    }
}

/// The CA certificates in a file that a flag names.
///
/// # Errors
/// One line that names the flag, the file and the remedy.
pub(crate) fn root_certs(flag: &str, path: &Path) -> Result<RootCerts, String> {
    let refuse = |reason: String| format!("{flag} {}: {reason}", path.display());
    let bytes = read_file(path).map_err(refuse)?;
    let items = parse_pem(&bytes).collect::<Result<Vec<_>, _>>();
    let items = items.map_err(|error| refuse(error.to_string()))?;
    let certificates: Vec<Certificate> = items
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(refuse("has no certificate in PEM".to_owned()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// Reads a small file without the byte order mark that editors on Windows put before it.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(BYTES_AT_MOST)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec);
    Ok(text.unwrap_or(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn receiver(file: &Path) -> Receiver {
        Receiver {
            address: "https://prometheus/".parse().expect("an address"),
            token_file: Some(file.to_owned()),
            ca_file: Some(file.to_owned()),
        }
    }

    #[test]
    fn tokens() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("token");
        for (text, header) in [
            ("abc", "Bearer abc"),
            (" a.b-c_d~e+f/g==\n", "Bearer a.b-c_d~e+f/g=="),
            ("\u{feff}abc\r\n", "Bearer abc"),
        ] {
            fs::write(&file, text).expect("a file");
            let authorization = receiver(&file)
                .authorization()
                .expect("a token")
                .expect("one");
            assert_eq!(authorization, header);
            assert!(!format!("{authorization:?}").contains("abc"));
        }
        for (text, part) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("two words", "one bearer token"),
            ("secret\u{e9}", "one bearer token"),
        ] {
            fs::write(&file, text).expect("a file");
            let error = receiver(&file).authorization().expect_err(text);
            assert!(
                error.contains(part) && error.contains("--remote-write-token-file"),
                "{error}"
            );
            assert!(
                !error.contains("secret") && !error.contains("words"),
                "{error}"
            );
        }
        let error = receiver(&dir.path().join("none"))
            .authorization()
            .expect_err("none");
        assert!(error.contains("none: No such file"), "{error}");
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("ca.pem");
        fs::write(&file, "no certificate").expect("a file");
        let error = receiver(&file).authorities().expect_err("refused");
        assert!(
            error.contains("--remote-write-ca-file") && error.contains("no certificate"),
            "{error}"
        );
    }
}
