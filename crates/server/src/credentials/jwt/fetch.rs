//! Fetches the keys of an issuer over HTTPS.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, header};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use super::super::error::CredentialsError;
use super::super::files::{JWT_KEYS, JWT_KEYS_CA, JWT_KEYS_TOKEN, read};
use super::super::pem::certificates;
use super::settings::KeyUrl;

/// Time for a whole fetch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest key set, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Fetches the keys from one address.
#[derive(Clone)]
pub(in super::super) struct Fetcher(KeyUrl);

impl Fetcher {
    /// Reads the files of authorities and token once, so that an unusable one is reported at the
    /// start. Blocks.
    pub(in super::super) fn new(url: &KeyUrl) -> Result<Self, CredentialsError> {
        let fetcher = Self(url.clone());
        fetcher.client()?;
        Ok(fetcher)
    }

    /// The address, for errors.
    pub(in super::super) fn url(&self) -> String {
        self.0.url.to_string()
    }

    /// Fetches the key set. Files are read again each time, as Kubernetes replaces them.
    pub(in super::super) async fn fetch(&self) -> Result<Vec<u8>, CredentialsError> {
        let refuse = |reason: String| CredentialsError::Keys {
            flag: JWT_KEYS,
            url: self.url(),
            reason,
        };
        let reader = self.clone();
        let client = tokio::task::spawn_blocking(move || reader.client()).await;
        let client = client.map_err(|error| refuse(error.to_string()))??;
        let unreachable = |error: reqwest::Error| refuse(chain(&error));
        let answer = client.get(self.0.url.clone()).send().await;
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(refuse(format!("the server answers {status}")));
        }
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(unreachable)? {
            if bytes.len() + part.len() > MAX_BYTES {
                return Err(refuse(format!(
                    "the key set has more than {MAX_BYTES} bytes"
                )));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    fn client(&self) -> Result<Client, CredentialsError> {
        let mut headers = http::HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(path) = &self.0.token_file {
            let token = read(JWT_KEYS_TOKEN, path)?;
            let value = [b"Bearer ", token.trim_ascii()].concat();
            let mut value = HeaderValue::try_from(value).map_err(|_| {
                CredentialsError::file(JWT_KEYS_TOKEN, path, "must be one token in one line")
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let builder = ClientBuilder::new()
            .tls_backend_preconfigured(self.tls()?)
            .default_headers(headers)
            .redirect(Policy::none())
            .user_agent("digits")
            .timeout(TIMEOUT);
        builder.build().map_err(|error| CredentialsError::Keys {
            flag: JWT_KEYS,
            url: self.url(),
            reason: chain(&error),
        })
    }

    /// Trusts the authorities of the file; without one, the public ones and those of the system.
    fn tls(&self) -> Result<ClientConfig, CredentialsError> {
        let mut roots = RootCertStore::empty();
        match &self.0.ca_file {
            Some(path) => {
                let refuse = |reason| CredentialsError::file(JWT_KEYS_CA, path, reason);
                for certificate in certificates(&read(JWT_KEYS_CA, path)?).map_err(refuse)? {
                    let added = roots.add(certificate);
                    added.map_err(|error| {
                        refuse(format!("has a certificate that cannot be used: {error}"))
                    })?;
                }
            }
            None => {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                let system = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(system.certs);
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.expect("ring supports TLS 1.2 and 1.3");
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

/// `error: cause: cause`; the cause is what says why a connection failed.
fn chain(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |&error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
