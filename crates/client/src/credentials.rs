//! Credentials of a client: trusted CA certificates, a client certificate and a bearer token.

use rustls::RootCertStore;
use std::fmt;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
    transport::{Certificate, ClientTlsConfig, Identity},
};

/// Trusted authorities, client certificate and bearer token. The default trusts the authorities of
/// the web and of this system, and presents nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    token: Option<MetadataValue<Ascii>>,
}

/// Credentials that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The file of authorities, or of a client certificate, holds no certificate.
    #[error("has no certificate in PEM")]
    NoCertificate,
    /// It holds a private key instead.
    #[error("has a private key and no certificate in PEM: are the files swapped?")]
    KeyForCertificate,
    /// The file of a key holds none.
    #[error("has no private key in PEM")]
    NoKey,
    /// The private key is encrypted.
    #[error(
        "has an encrypted private key: decrypt it with `openssl pkey -in FILE -out PLAIN_FILE`"
    )]
    Encrypted,
    /// The token has characters beyond those of RFC 6750, section 2.1, or is empty.
    #[error("must be one bearer token and nothing else")]
    Token,
}

impl Credentials {
    /// Trusts these authorities (PEM) alone.
    ///
    /// # Errors
    /// [`CredentialsError::NoCertificate`].
    pub fn with_ca(mut self, pem: Vec<u8>) -> Result<Self, CredentialsError> {
        check_certificate(&pem)?;
        self.ca = Some(without_byte_order_mark(pem));
        Ok(self)
    }

    /// Checks a client certificate and its key before they are used, which
    /// [`with_client_certificate`](Self::with_client_certificate) does not.
    ///
    /// # Errors
    /// [`CredentialsError::NoCertificate`] for the chain, [`CredentialsError::NoKey`] and
    /// [`CredentialsError::Encrypted`] for the key.
    pub fn check_client_certificate(chain: &[u8], key: &[u8]) -> Result<(), CredentialsError> {
        check_certificate(chain)?;
        if contains(key, "ENCRYPTED") {
            return Err(CredentialsError::Encrypted);
        }
        match contains(key, "PRIVATE KEY-----") {
            true => Ok(()),
            false => Err(CredentialsError::NoKey),
        }
    }

    /// Presents this certificate chain (PEM), with its key (PEM), to services that require one.
    #[must_use]
    pub fn with_client_certificate(mut self, chain: Vec<u8>, key: Vec<u8>) -> Self {
        self.identity = Some((without_byte_order_mark(chain), without_byte_order_mark(key)));
        self
    }

    /// Sends this bearer token with each request; white space around it is ignored.
    ///
    /// # Errors
    /// [`CredentialsError::Token`].
    pub fn with_token(mut self, token: &[u8]) -> Result<Self, CredentialsError> {
        let token = token
            .strip_prefix(BYTE_ORDER_MARK)
            .unwrap_or(token)
            .trim_ascii();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        if token.is_empty() || !token.iter().all(allowed) {
            return Err(CredentialsError::Token);
        }
        let header = format!("Bearer {}", String::from_utf8_lossy(token));
        let mut header: MetadataValue<Ascii> =
            header.parse().map_err(|_| CredentialsError::Token)?;
        header.set_sensitive(true);
        self.token = Some(header);
        Ok(self)
    }

    /// The configuration of a TLS connection.
    pub(crate) fn tls(&self) -> ClientTlsConfig {
        let tls = ClientTlsConfig::new();
        let tls = match &self.ca {
            Some(ca) => tls.ca_certificate(Certificate::from_pem(ca)),
            None => tls.trust_anchors(public_roots().roots),
        };
        match &self.identity {
            Some((chain, key)) => tls.identity(Identity::from_pem(chain, key)),
            None => tls,
        }
    }

    pub(crate) fn authorization(&self) -> Authorization {
        Authorization(self.token.clone())
    }
}

impl fmt::Debug for Credentials {
    /// Names what is present, and shows none of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("ca", &self.ca.is_some())
            .field("client_certificate", &self.identity.is_some())
            .field("token", &self.token.is_some())
            .finish()
    }
}

/// Editors on Windows put it before the first line, which is then no line of PEM.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn without_byte_order_mark(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    bytes
}

fn check_certificate(pem: &[u8]) -> Result<(), CredentialsError> {
    if contains(pem, "-----BEGIN CERTIFICATE-----") {
        return Ok(());
    }
    Err(match contains(pem, "PRIVATE KEY-----") {
        true => CredentialsError::KeyForCertificate,
        false => CredentialsError::NoCertificate,
    })
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// Adds the `authorization` header to each request, where there is a token.
#[derive(Clone)]
pub(crate) struct Authorization(Option<MetadataValue<Ascii>>);

impl Interceptor for Authorization {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// The web's authorities, and those that this system adds. A system without any still has the
/// web's.
fn public_roots() -> RootCertStore {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_is_never_shown() {
        let credentials = Credentials::default()
            .with_token("\u{feff} s3cret.~\n".as_bytes())
            .expect("a token");
        assert!(!format!("{credentials:?}").contains("s3cret"));
        let request = credentials
            .authorization()
            .call(Request::new(()))
            .expect("let through");
        let header = request.metadata().get("authorization").expect("there");
        assert_eq!(header, "Bearer s3cret.~");
        for text in ["", "\n", "two s3cret", "s3cr\u{e9}t"] {
            let refused = Credentials::default().with_token(text.as_bytes());
            assert_eq!(refused, Err(CredentialsError::Token), "{text}");
        }
    }

    #[test]
    fn authorities_are_certificates() {
        let refused = Credentials::default().with_ca(b"nothing of use".to_vec());
        assert_eq!(refused, Err(CredentialsError::NoCertificate));
    }

    #[test]
    fn a_client_certificate_names_what_is_wrong_with_it() {
        let certificate = "\u{feff}-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
        let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let check = |chain: &str, key: &str| {
            Credentials::check_client_certificate(chain.as_bytes(), key.as_bytes())
        };
        assert_eq!(check(certificate, key), Ok(()));
        assert_eq!(
            check(certificate, &encrypted),
            Err(CredentialsError::Encrypted)
        );
        assert_eq!(
            check(certificate, certificate),
            Err(CredentialsError::NoKey)
        );
        assert_eq!(
            check(key, certificate),
            Err(CredentialsError::KeyForCertificate)
        );
        assert_eq!(check("", key), Err(CredentialsError::NoCertificate));
    }
}
