//! TLS handshakes, bounded in time. Their number is bounded as that of connections is.

use std::io;
use std::time::Duration;

use metrics::Counter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::credentials::{ClientCertificate, Credentials};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long, and up to how many bytes, a refused client is read from after the TLS alert was sent.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 << 10;

/// Performs the handshakes of a port with a certificate.
pub(crate) struct TlsHandshakes {
    credentials: Credentials,
    failed: Counter,
}

impl TlsHandshakes {
    /// `failed` counts handshakes that fail or take too long.
    pub(crate) fn new(credentials: Credentials, failed: Counter) -> Self {
        Self {
            credentials,
            failed,
        }
    }

    /// Performs a handshake with the certificate that is in use now. A failure is counted and
    /// logged.
    pub(crate) async fn perform(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let acceptor = self.credentials.acceptor()?;
        timeout(HANDSHAKE_TIMEOUT, accept(&acceptor, stream))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .inspect_err(|error| {
                self.failed.increment(1);
                tracing::debug!(%error, "TLS handshake failed");
            })
            .ok()
    }

    /// The certificate of the client of a handshake, where its names have roles.
    pub(crate) fn certificate(&self, stream: &TlsStream<TcpStream>) -> Option<ClientCertificate> {
        let chain = stream.get_ref().1.peer_certificates();
        let chain = chain.filter(|_| self.credentials.uses_client_names());
        chain.map(ClientCertificate::of)
    }
}

/// On failure, reads on for a moment after the alert: closing a socket with unread data would
/// discard the alert before the client has read it.
async fn accept(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => Ok(stream),
        Err((error, mut stream)) => {
            let linger = async {
                stream.shutdown().await?;
                tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await
            };
            // The client may leave at any time.
            let _ = timeout(LINGER, linger).await;
            Err(error)
        }
    }
}
