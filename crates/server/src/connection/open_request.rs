//! An open request of a connection, and the bytes of its response until the client has them.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use super::context::ConnectionContext;

/// An open request of a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    connection: Arc<ConnectionContext>,
    has_memory: bool,
}

impl OpenRequest {
    pub(crate) fn begin(connection: &Arc<ConnectionContext>) -> Self {
        Self {
            has_memory: connection.account.open_request(),
            connection: Arc::clone(connection),
        }
    }

    /// Whether there is memory for a further request. Without it, it must be refused.
    pub(crate) fn has_memory(&self) -> bool {
        self.has_memory
    }

    /// `bytes` of its response, which count as unsent until the last reference to them is dropped:
    /// when they were written to the socket, or the stream was reset. `None` when there is no memory
    /// for them.
    pub(crate) fn unsent(&self, bytes: Bytes) -> Option<Bytes> {
        if bytes.is_empty() {
            return Some(bytes);
        }
        self.connection.account.send(bytes.len()).then(|| {
            Bytes::from_owner(Unsent {
                bytes,
                connection: Arc::clone(&self.connection),
            })
        })
    }
}

impl Deref for OpenRequest {
    type Target = ConnectionContext;

    fn deref(&self) -> &ConnectionContext {
        &self.connection
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.connection.account.close_request();
    }
}

struct Unsent {
    bytes: Bytes,
    connection: Arc<ConnectionContext>,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.connection.account.forget_sent(self.bytes.len());
    }
}
