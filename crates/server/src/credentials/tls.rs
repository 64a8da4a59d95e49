//! Builds the TLS configuration from the certificate, its key and the authorities of client
//! certificates.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::doubts::doubts;
use super::error::CredentialsError;
use super::files::{CERTIFICATE, CLIENT_CA, Digest, KEY, TlsFiles, digest, read};
use super::pem::{certificates, private_key};

/// Protocols for ALPN, in order of preference. gRPC needs `h2`; pages and REST work with either.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A TLS configuration that is ready for handshakes.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    /// For the admin port, whose clients have no certificates.
    pub(super) admin_acceptor: TlsAcceptor,
    /// Earliest expiry in the certificate chain, in seconds since 1970.
    pub(super) expires: i64,
    /// Why clients refuse the certificate.
    pub(super) doubts: Vec<&'static str>,
}

/// The contents of the files.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Contents {
    /// Reads the files. Blocks.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, CredentialsError> {
        let client_ca = files.client_ca.as_deref();
        Ok(Self {
            certificate: read(CERTIFICATE, &files.certificate)?,
            key: read(KEY, &files.key)?,
            client_ca: client_ca.map(|path| read(CLIENT_CA, path)).transpose()?,
        })
    }

    pub(super) fn digest(&self) -> Digest {
        let all = [&self.certificate, &self.key].into_iter();
        digest(all.chain(&self.client_ca).map(Vec::as_slice))
    }

    /// Builds the configuration. The key must be that of the certificate.
    pub(super) fn build(&self, files: &TlsFiles) -> Result<Tls, CredentialsError> {
        let of_certificate =
            |reason: String| CredentialsError::file(CERTIFICATE, &files.certificate, reason);
        let of_key = |reason: &str| CredentialsError::file(KEY, &files.key, reason);
        let provider = Arc::new(ring::default_provider());

        let chain = certificates(&self.certificate).map_err(of_certificate)?;
        let expires = expiry(&chain).map_err(of_certificate)?;
        let doubts = doubts(&chain);
        let key = private_key(&self.key).map_err(of_key)?;
        let key = provider.key_provider.load_private_key(key).map_err(|_| {
            of_key("has a private key of an unsupported kind: use RSA, ECDSA with P-256 or P-384 (not P-521), or Ed25519")
        })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                return Err(of_key("is not the key of --tls-certificate-file"));
            }
            Err(error) => return Err(of_certificate(format!("cannot be used: {error}"))),
        }

        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| of_certificate(error.to_string()))?;
        let certified = Arc::new(SingleCertAndKey::from(certified));
        let open = builder.clone().with_no_client_auth();
        let admin = open.with_cert_resolver(Arc::clone(&certified) as Arc<dyn ResolvesServerCert>);
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(content), Some(path)) => {
                let verifier = verifier(content, provider)
                    .map_err(|reason| CredentialsError::file(CLIENT_CA, path, reason))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(certified);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Tls {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            admin_acceptor: TlsAcceptor::from(Arc::new(admin)),
            expires,
            doubts,
        })
    }
}

/// Reads the files and builds the configuration. Blocks.
pub(super) fn load(files: &TlsFiles) -> Result<(Tls, Digest), CredentialsError> {
    let contents = Contents::read(files)?;
    Ok((contents.build(files)?, contents.digest()))
}

/// The earliest expiry in a chain, in seconds since 1970.
fn expiry(chain: &[CertificateDer<'_>]) -> Result<i64, String> {
    let mut earliest = i64::MAX;
    for certificate in chain {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|error| format!("has a certificate that cannot be read: {error}"))?;
        earliest = earliest.min(parsed.validity().not_after.timestamp());
    }
    Ok(earliest)
}

fn verifier(
    pem: &[u8],
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots
            .add(certificate)
            .map_err(|error| format!("has a certificate that cannot be used: {error}"))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())
}
