//! What shows the services who calls, and us that it is they: a bearer token, certificates and authorities, each from a file.

use crate::error::Error;
use rustls::RootCertStore;
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};

const CA: &str = "--tls-ca-file";
const CERTIFICATE: &str = "--tls-client-certificate-file";
const KEY: &str = "--tls-client-key-file";
const TOKEN: &str = "--token-file";

/// The files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialFiles {
    /// Authorities (PEM) that may have signed the services' certificates, instead of those of the system and the web.
    pub ca: Option<PathBuf>,
    /// Our own certificate chain (PEM).
    pub certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Option<PathBuf>,
    /// A bearer token.
    pub token: Option<PathBuf>,
}

/// What the files hold.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    bearer: Bearer,
}

/// A channel that brings the token along.
pub type Connection = InterceptedService<Channel, Bearer>;

/// Puts the token into each request, where there is one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl CredentialFiles {
    /// Reads them.
    ///
    /// # Errors
    /// [`Error::Usage`] for a certificate without its key or the reverse, [`Error::Input`] for a file that cannot be read or
    /// is not what it should be; both name the flag.
    pub fn load(&self) -> Result<Credentials, Error> {
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                Some((read(CERTIFICATE, certificate)?, read(KEY, key)?))
            }
            (None, None) => None,
            (Some(_), None) => {
                return Err(Error::Usage(format!("{CERTIFICATE} needs {KEY} beside it")));
            }
            (None, Some(_)) => {
                return Err(Error::Usage(format!("{KEY} needs {CERTIFICATE} beside it")));
            }
        };
        let ca = self.ca.as_deref().map(|path| read(CA, path)).transpose()?;
        if let (Some(ca), Some(path)) = (&ca, &self.ca)
            && !contains(ca, b"-----BEGIN CERTIFICATE-----")
        {
            return Err(refuse(CA, path, "has no certificate in PEM"));
        }
        let token = self.token.as_deref().map(token).transpose()?;
        Ok(Credentials {
            ca,
            identity,
            bearer: Bearer(token),
        })
    }
}

impl Credentials {
    /// For a connection by https.
    pub(crate) fn tls(&self) -> ClientTlsConfig {
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca {
            Some(ca) => tls.ca_certificate(Certificate::from_pem(ca)),
            None => tls.trust_anchors(public_roots().roots),
        };
        match &self.identity {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
            None => tls,
        }
    }

    pub(crate) fn bearer(&self) -> Bearer {
        self.bearer.clone()
    }
}

impl fmt::Debug for Credentials {
    /// Shows nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("own_ca", &self.ca.is_some())
            .field("certificate", &self.identity.is_some())
            .field("token", &self.bearer.0.is_some())
            .finish()
    }
}

/// The web's authorities, and those that this system adds.
fn public_roots() -> RootCertStore {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    // A system without any still has the web's.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn refuse(flag: &str, path: &Path, reason: impl Into<String>) -> Error {
    Error::Input {
        what: format!("{flag} {}", path.display()),
        reason: reason.into(),
    }
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| refuse(flag, path, error.to_string()))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// One token and nothing else, of the characters of RFC 6750, section 2.1.
fn token(path: &Path) -> Result<MetadataValue<Ascii>, Error> {
    let content = read(TOKEN, path)?;
    let token = content.trim_ascii();
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if token.is_empty() || !token.iter().all(good) {
        return Err(refuse(
            TOKEN,
            path,
            "must be one bearer token and nothing else",
        ));
    }
    let header = format!("Bearer {}", String::from_utf8_lossy(token));
    let mut header: MetadataValue<Ascii> = header
        .parse()
        .map_err(|_| refuse(TOKEN, path, "must be one bearer token and nothing else"))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(file: &Path) -> CredentialFiles {
        CredentialFiles {
            token: Some(file.to_owned()),
            ..CredentialFiles::default()
        }
    }

    #[test]
    fn a_token_is_one_word_and_never_shown() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("token");
        fs::write(&file, " s3cret.~\n").expect("a file");
        let loaded = with(&file).load().expect("a token");
        assert!(!format!("{loaded:?}").contains("s3cret"));
        let request = loaded.bearer().call(Request::new(())).expect("let through");
        let header = request.metadata().get("authorization").expect("there");
        assert_eq!(header, "Bearer s3cret.~");
        for text in ["", "\n", "two s3cret", "s3cr\u{e9}t"] {
            fs::write(&file, text).expect("a file");
            let error = with(&file).load().expect_err(text);
            assert_eq!(error.exit_code(), 66);
            let error = error.to_string();
            assert!(
                error.contains("--token-file") && !error.contains("s3cr"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_cannot_be_used_names_its_flag() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        fs::write(&file, "nothing of use").expect("a file");
        let one = |set: fn(&mut CredentialFiles, PathBuf)| {
            let mut files = CredentialFiles::default();
            set(&mut files, file.clone());
            files.load().expect_err("refused")
        };
        for (error, code, part) in [
            (one(|it, file| it.certificate = Some(file)), 64, KEY),
            (one(|it, file| it.key = Some(file)), 64, CERTIFICATE),
            (one(|it, file| it.ca = Some(file)), 66, CA),
            (one(|it, file| it.ca = Some(file.join("none"))), 66, CA),
        ] {
            assert_eq!(error.exit_code(), code, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
