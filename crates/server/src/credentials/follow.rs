//! Looks at the files again and again, and swaps in what they hold now. Content is compared, since Kubernetes replaces the
//! files of a mounted Secret by swapping a symbolic link. What cannot be used changes nothing.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::error::CredentialsError;
use super::files::{Digest, TOKENS, read};
use super::metrics::CredentialMetrics;
use super::tls::Contents;
use super::{Credentials, Current, tokens};

/// Looks every `interval` until `stop`. Panics where a look does.
pub(crate) async fn follow(
    credentials: Credentials,
    metrics: CredentialMetrics,
    interval: Duration,
    stop: CancellationToken,
) {
    let mut follower = Follower::new(credentials, metrics);
    let wait = || tokio::time::sleep(interval);
    while stop.run_until_cancelled(wait()).await.is_some() {
        // Reads files and checks a key: not on a thread that answers requests.
        let look = tokio::task::spawn_blocking(move || {
            follower.look();
            follower
        });
        follower = match look.await {
            Ok(follower) => follower,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => return,
            },
        };
    }
}

struct Follower {
    credentials: Credentials,
    metrics: CredentialMetrics,
    tls: Part,
    tokens: Part,
}

/// What is known of the files of one part.
#[derive(Default)]
struct Part {
    /// Of the content that is in use.
    digest: Digest,
    /// Why the last look changed nothing.
    failure: Option<Failure>,
}

struct Failure {
    reason: String,
    told: bool,
}

impl Follower {
    fn new(credentials: Credentials, metrics: CredentialMetrics) -> Self {
        let (tls, tokens) = credentials.shared.first;
        let part = |digest: Option<Digest>| Part {
            digest: digest.unwrap_or_default(),
            failure: None,
        };
        let expires = credentials.expires();
        metrics.certificate(expires);
        warn_of_expired(expires);
        Self {
            credentials,
            metrics,
            tls: part(tls),
            tokens: part(tokens),
        }
    }

    /// Looks once. Blocks.
    fn look(&mut self) {
        let shared = Arc::clone(&self.credentials.shared);
        let mut next = Current::clone(&shared.current.load());
        let mut changed = false;
        if let Some(files) = &shared.files.tls {
            let found = self.tls.look(
                || Contents::read(files),
                Contents::digest,
                |contents| contents.build(files),
            );
            if let Some(tls) = self.settle(found, |it| &mut it.tls) {
                tracing::info!("the new certificate is in use");
                warn_of_expired(Some(tls.expires));
                self.metrics.certificate(Some(tls.expires));
                next.tls = Some(tls);
                changed = true;
            }
        }
        if let Some(path) = &shared.files.tokens {
            let found = self.tokens.look(
                || read(TOKENS, path),
                |content| tokens::content_digest(content),
                |content| tokens::build(path, content),
            );
            if let Some(tokens) = self.settle(found, |it| &mut it.tokens) {
                tracing::info!("the new tokens are in use");
                next.tokens = Some(tokens);
                changed = true;
            }
        }
        if changed {
            shared.current.store(Arc::new(next));
        }
    }

    /// Counts what a look found, and tells of what is wrong, once.
    fn settle<T>(
        &mut self,
        found: Result<Option<T>, CredentialsError>,
        part: impl Fn(&mut Self) -> &mut Part,
    ) -> Option<T> {
        match found {
            Ok(None) => {
                part(self).failure = None;
                None
            }
            Ok(Some(new)) => {
                part(self).failure = None;
                self.metrics.reloaded.increment(1);
                Some(new)
            }
            Err(error) => {
                if part(self).fails_again(&error.to_string()) {
                    self.metrics.failed.increment(1);
                }
                None
            }
        }
    }
}

impl Part {
    /// What the files hold, if that is new. `Err` leaves what is in use.
    fn look<C, T>(
        &mut self,
        read: impl FnOnce() -> Result<C, CredentialsError>,
        digest: impl FnOnce(&C) -> Digest,
        build: impl FnOnce(&C) -> Result<T, CredentialsError>,
    ) -> Result<Option<T>, CredentialsError> {
        let contents = read()?;
        let digest = digest(&contents);
        if digest == self.digest {
            return Ok(None);
        }
        let new = build(&contents)?;
        self.digest = digest;
        Ok(Some(new))
    }

    /// Whether two looks in a row failed for this reason. Certificate and key are two files, and a look may fall between
    /// their replacements; so the first one says nothing.
    fn fails_again(&mut self, reason: &str) -> bool {
        match &mut self.failure {
            Some(failure) if failure.reason == reason => {
                if !std::mem::replace(&mut failure.told, true) {
                    tracing::warn!(reason, "what was read before stays in use");
                }
                true
            }
            _ => {
                self.failure = Some(Failure {
                    reason: reason.to_owned(),
                    told: false,
                });
                false
            }
        }
    }
}

impl Credentials {
    /// When the certificate expires, in seconds since 1970.
    fn expires(&self) -> Option<i64> {
        let current = self.shared.current.load();
        current.tls.as_ref().map(|tls| tls.expires)
    }
}

fn warn_of_expired(expires: Option<i64>) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    if expires.is_some_and(|expires| u64::try_from(expires).unwrap_or(0) < now) {
        tracing::warn!("the certificate of --tls-certificate-file is expired: clients refuse it");
    }
}
