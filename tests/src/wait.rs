//! Waiting for something that other processes bring about: polled, with a deadline.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(5);

/// Calls `check` until it gives a value; fails after `patience`, naming `what` was waited for.
pub async fn until<T, F>(what: &str, patience: Duration, check: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<Option<T>>,
{
    until_every(PAUSE, what, patience, check).await
}

/// As [`until`], with a pause of one's own between two calls.
pub async fn until_every<T, F>(
    pause: Duration,
    what: &str,
    patience: Duration,
    mut check: F,
) -> Result<T>
where
    F: AsyncFnMut() -> Result<Option<T>>,
{
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = check().await? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("{what} did not happen within {patience:?}");
        }
        tokio::time::sleep(pause).await;
    }
}
