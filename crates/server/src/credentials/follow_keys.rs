//! Fetches the keys of an issuer again on a timer, and when a token comes by an unknown key. Keys
//! that cannot be fetched or used change nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::error::CredentialsError;
use super::files::{JWT_KEYS, content_digest};
use super::jwt::KeySet;
use super::metrics::CredentialMetrics;
use super::part::Part;
use super::store::{Credentials, FetchedKeys};

/// Time between two fetches at least, and after one that failed, in intervals of reloading: 10 s.
const MIN_INTERVALS: u32 = 2;
/// Time between two fetches at most, in intervals of reloading: 5 minutes.
const MAX_INTERVALS: u32 = 60;

/// Follows the keys until `stop`. `interval` is that of reloading files.
pub(super) async fn follow(
    credentials: Credentials,
    metrics: CredentialMetrics,
    interval: Duration,
    stop: CancellationToken,
) {
    let Some(fetched) = &credentials.shared.fetched_keys else {
        return;
    };
    let following = async {
        let mut part = Part::default();
        loop {
            let is_known = fetch(&credentials, fetched, &mut part, &metrics).await;
            fetched.requests.fetched();
            sleep(interval * MIN_INTERVALS).await;
            if is_known {
                let rest = interval * (MAX_INTERVALS - MIN_INTERVALS);
                fetched.requests.wait(rest).await;
            }
        }
    };
    stop.run_until_cancelled(following).await;
}

/// Fetches the keys once; whether that succeeded.
async fn fetch(
    credentials: &Credentials,
    fetched: &FetchedKeys,
    part: &mut Part,
    metrics: &CredentialMetrics,
) -> bool {
    let contents = fetched.fetcher.fetch().await;
    let is_fetched = contents.is_ok();
    let new = part.reload(
        metrics,
        || contents,
        |contents| content_digest(contents),
        |contents| {
            KeySet::parse(contents).map_err(|reason| CredentialsError::Keys {
                flag: JWT_KEYS,
                url: fetched.fetcher.url(),
                reason,
            })
        },
    );
    if let Some(keys) = new {
        tracing::info!("keys of JWTs fetched");
        let keys = Arc::new(keys);
        let shared = &credentials.shared;
        shared.update(|current| current.set_keys(&keys));
    }
    is_fetched
}
