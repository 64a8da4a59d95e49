//! What the gRPC port shows of itself and asks of its callers: a certificate, authorities of client certificates and bearer
//! tokens, from files that may be replaced while it runs. Without files it is plain text, and everybody may call.
//!
//! All of it is one value behind one `ArcSwap`: a handshake and a request read it once. Reading the files again is
//! [`follow`]'s.

mod error;
mod files;
pub(crate) mod follow;
pub(crate) mod metrics;
mod tls;
mod tokens;

pub use error::CredentialsError;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use http::{HeaderMap, header};
use tokio_rustls::TlsAcceptor;

use files::{Digest, Files};
use tls::Tls;
use tokens::{Tokens, bearer};

/// Flags about who may reach the gRPC port, the same in both services. The files are read again every few seconds.
#[derive(Clone, Debug, Default, Args)]
pub struct CredentialFlags {
    /// File with the certificate chain (PEM) of the gRPC port, which then accepts TLS only; needs
    /// --tls-key-file. Read again every 5 seconds. Without it, the port is plain text.
    #[arg(long, env = "DIGITS_TLS_CERTIFICATE_FILE", value_name = "FILE", value_parser = path())]
    pub tls_certificate_file: Option<PathBuf>,
    /// File with the private key (PEM) of the certificate in --tls-certificate-file. Read again
    /// every 5 seconds.
    #[arg(long, env = "DIGITS_TLS_KEY_FILE", value_name = "FILE", value_parser = path())]
    pub tls_key_file: Option<PathBuf>,
    /// File with certificate authorities (PEM): every client must present a certificate that one of
    /// them signed; needs --tls-certificate-file. Read again every 5 seconds. Without it, none is
    /// needed.
    #[arg(long, env = "DIGITS_TLS_CLIENT_CA_FILE", value_name = "FILE", value_parser = path())]
    pub tls_client_ca_file: Option<PathBuf>,
    /// File with bearer tokens, a line "NAME TOKEN" each, # starts a comment; every call must
    /// present one of them. Read again every 5 seconds. Without it, no token is needed.
    #[arg(long, env = "DIGITS_TOKEN_FILE", value_name = "FILE", value_parser = path())]
    pub token_file: Option<PathBuf>,
}

/// An empty one counts as none, so that an environment can take back what another sets.
fn path() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

impl CredentialFlags {
    /// Reads the files and makes sure that they can be used. Blocks for the reads.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn load(&self) -> Result<Credentials, CredentialsError> {
        let files = Files::new(self)?;
        let (tls, tls_digest) = files.tls.as_ref().map(tls::load).transpose()?.unzip();
        let (tokens, tokens_digest) = files
            .tokens
            .as_deref()
            .map(tokens::load)
            .transpose()?
            .unzip();
        Ok(Credentials {
            shared: Arc::new(Shared {
                files,
                first: (tls_digest, tokens_digest),
                current: ArcSwap::from_pointee(Current { tls, tokens }),
            }),
        })
    }
}

/// The credentials of a port, as they are now; clones share them.
#[derive(Clone)]
pub struct Credentials {
    shared: Arc<Shared>,
}

struct Shared {
    files: Files,
    /// Digests of the files' content at the start: of TLS and of the tokens.
    first: (Option<Digest>, Option<Digest>),
    current: ArcSwap<Current>,
}

/// What must agree.
#[derive(Clone, Default)]
struct Current {
    tls: Option<Tls>,
    tokens: Option<Arc<Tokens>>,
}

/// Why a request is not let in; told to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Missing,
    Unknown,
}

impl Refusal {
    /// What the caller is to do. Needs no escaping in JSON.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Missing => "this service asks for a token: send authorization: Bearer TOKEN",
            Self::Unknown => {
                "this service does not know the token: send authorization: Bearer TOKEN with one that its operators gave out"
            }
        }
    }
}

impl Credentials {
    /// Whether the port speaks TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.shared.files.tls.is_some()
    }

    /// Whether calls must bring a token.
    #[must_use]
    pub fn asks_for_tokens(&self) -> bool {
        self.shared.files.tokens.is_some()
    }

    /// For a handshake that begins now.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.shared
            .current
            .load()
            .tls
            .as_ref()
            .map(|tls| tls.acceptor.clone())
    }

    /// The name of the token that a request brings; `None` where nobody asks for one.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
        if !self.asks_for_tokens() {
            return Ok(None);
        }
        let brought = headers.get(header::AUTHORIZATION).and_then(bearer);
        let brought = brought.ok_or(Refusal::Missing)?;
        let current = self.shared.current.load();
        let name = current
            .tokens
            .as_ref()
            .and_then(|tokens| tokens.name_of(brought));
        name.map(Some).ok_or(Refusal::Unknown)
    }
}

impl Default for Credentials {
    /// None: plain text, everybody may call.
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                files: Files::default(),
                first: (None, None),
                current: ArcSwap::from_pointee(Current::default()),
            }),
        }
    }
}

impl fmt::Debug for Credentials {
    /// Names the files and shows nothing of what is in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.files.fmt(f)
    }
}
