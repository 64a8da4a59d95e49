//! The credentials that are in use.
//!
//! They are one value behind one `ArcSwap`, which a handshake and a request read once.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, header};
use tokio_rustls::TlsAcceptor;

use super::error::CredentialsError;
use super::files::{Digest, Files};
use super::flags::CredentialFlags;
use super::roles::Identity;
use super::tls::{self, Tls};
use super::tokens::{self, Tokens, bearer};

/// The credentials of a port. Clones share them.
#[derive(Clone)]
pub struct Credentials {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) files: Files,
    /// Digest of the TLS files as they were at the start.
    pub(super) first_tls: Option<Digest>,
    /// Digest of the token file as it was at the start.
    pub(super) first_tokens: Option<Digest>,
    pub(super) current: ArcSwap<Current>,
}

/// What must agree.
#[derive(Clone, Default)]
pub(super) struct Current {
    pub(super) tls: Option<Tls>,
    pub(super) tokens: Option<Arc<Tokens>>,
}

/// Why a request is not authenticated. The client reads the message, which needs no escaping in
/// JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthenticationError {
    #[error("this service needs a token: send authorization: Bearer TOKEN")]
    Missing,
    #[error(
        "this service does not know the token: send authorization: Bearer TOKEN with one that its operators issued"
    )]
    Unknown,
}

impl CredentialFlags {
    /// Reads the files and checks that they can be used. Blocks.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn load(&self) -> Result<Credentials, CredentialsError> {
        let files = Files::new(self)?;
        let (tls, first_tls) = files.tls.as_ref().map(tls::load).transpose()?.unzip();
        let tokens = files.tokens.as_deref().map(tokens::load).transpose()?;
        let (tokens, first_tokens) = tokens.unzip();
        Ok(Credentials {
            shared: Arc::new(Shared {
                files,
                first_tls,
                first_tokens,
                current: ArcSwap::from_pointee(Current { tls, tokens }),
            }),
        })
    }
}

impl Credentials {
    /// Whether the port speaks TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.shared.files.tls.is_some()
    }

    /// Whether requests need a token.
    #[must_use]
    pub fn needs_token(&self) -> bool {
        self.shared.files.tokens.is_some()
    }

    /// For a handshake that begins now.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        let current = self.shared.current.load();
        current.tls.as_ref().map(|tls| tls.acceptor.clone())
    }

    /// When the certificate expires, in seconds since 1970.
    pub(super) fn expires(&self) -> Option<i64> {
        let current = self.shared.current.load();
        current.tls.as_ref().map(|tls| tls.expires)
    }

    /// Why clients refuse the certificate.
    pub(super) fn doubts(&self) -> Vec<&'static str> {
        let current = self.shared.current.load();
        let tls = current.tls.as_ref();
        tls.map_or_else(Vec::new, |tls| tls.doubts.clone())
    }

    /// The client of a request; `None` where no token is needed.
    pub(crate) fn authenticate(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<Identity>, AuthenticationError> {
        if !self.needs_token() {
            return Ok(None);
        }
        let token = headers.get(header::AUTHORIZATION).and_then(bearer);
        let token = token.ok_or(AuthenticationError::Missing)?;
        let current = self.shared.current.load();
        let tokens = current.tokens.as_ref();
        let client = tokens.and_then(|tokens| tokens.client_of(token));
        client.map(Some).ok_or(AuthenticationError::Unknown)
    }
}

impl Default for Credentials {
    /// None: plain text, and no token is needed.
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                files: Files::default(),
                first_tls: None,
                first_tokens: None,
                current: ArcSwap::from_pointee(Current::default()),
            }),
        }
    }
}

impl fmt::Debug for Credentials {
    /// Shows the paths of the files, and nothing of their contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.files.fmt(f)
    }
}
