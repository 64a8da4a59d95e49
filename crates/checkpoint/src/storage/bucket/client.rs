//! What the clients of all buckets share: retries, timeouts, cryptography and the parts of an
//! address.

use crate::storage::{Storage, StorageError};
use object_store::{ObjectStore, RetryConfig, path::Path};
use std::{sync::Arc, time::Duration};
use url::Url;

/// Longest time for a large write to a bucket. The default is half a minute for a request, whatever
/// it carries; 2 GiB take longer on many lines.
pub(super) const BULK_TIMEOUT: &str = "1h";

/// Shorter than the default of 3 minutes: a follower should report an error rather than wait.
pub(super) fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: 4,
        retry_timeout: Duration::from_secs(20),
        ..RetryConfig::default()
    }
}

/// The client of a bucket panics where the process has no provider. A program that has chosen
/// another keeps it.
pub(super) fn install_crypto_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The bucket and the prefix of an address.
pub(super) fn parts(url: &Url) -> Result<(&str, Path), StorageError> {
    let refused = |reason: String| StorageError::Url {
        url: url.as_str().to_owned(),
        reason,
    };
    let scheme = url.scheme();
    let bucket = url
        .host_str()
        .ok_or_else(|| refused(format!("names no bucket: write {scheme}://bucket/prefix")))?;
    let prefix = Path::from_url_path(url.path()).map_err(|error| refused(error.to_string()))?;
    Ok((bucket, prefix))
}

/// The storage at `url`, from its client and the client for large writes.
pub(super) fn storage(
    url: &Url,
    prefix: Path,
    store: Arc<dyn ObjectStore>,
    bulk: Arc<dyn ObjectStore>,
) -> Storage {
    Storage {
        store,
        bulk,
        prefix,
        url: url.as_str().trim_end_matches('/').into(),
        folder: None,
        keys: None,
        guard: None,
    }
}
