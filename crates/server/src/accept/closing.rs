//! When a connection must take no further requests because the port closes.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// A connection that was opened just before the port closed has this long for its first request: to
/// its client it is the way around the connection that was closed before.
const FIRST_REQUEST: Duration = Duration::from_millis(250);

/// When a connection must take no further requests because the port closes.
pub(crate) struct Closing {
    opened: Instant,
    port: CancellationToken,
}

impl Closing {
    /// Of a connection that is opened now. `port` is cancelled when the port closes.
    pub(super) fn new(port: CancellationToken) -> Self {
        Self {
            opened: Instant::now(),
            port,
        }
    }

    /// Waits until the port closes and the connection has had time for its first request.
    pub(crate) async fn reached(&self) {
        self.port.cancelled().await;
        sleep_until(self.opened + FIRST_REQUEST).await;
    }
}
