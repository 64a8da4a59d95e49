//! Files that are read again together, such as a certificate with its key: their contents are
//! compared, and a failure is reported once.

use super::error::CredentialsError;
use super::files::Digest;
use super::metrics::CredentialMetrics;

/// The state of such files.
#[derive(Default)]
pub(super) struct Part {
    /// Digest of the contents in use.
    digest: Digest,
    /// Error of the last reload.
    failure: Option<Failure>,
}

struct Failure {
    reason: String,
    logged: bool,
}

impl Part {
    /// For files whose contents in use have this digest.
    pub(super) fn new(digest: Option<Digest>) -> Self {
        Self {
            digest: digest.unwrap_or_default(),
            failure: None,
        }
    }

    /// What `build` makes of the contents that `read` returns, if they changed. Counts the outcome,
    /// and logs a failure once.
    pub(super) fn reload<C, T>(
        &mut self,
        metrics: &CredentialMetrics,
        read: impl FnOnce() -> Result<C, CredentialsError>,
        digest: impl FnOnce(&C) -> Digest,
        build: impl FnOnce(&C) -> Result<T, CredentialsError>,
    ) -> Option<T> {
        let found = read().and_then(|contents| {
            let digest = digest(&contents);
            if digest == self.digest {
                return Ok(None);
            }
            let new = build(&contents)?;
            self.digest = digest;
            Ok(Some(new))
        });
        self.settle(found, metrics)
    }

    fn settle<T>(
        &mut self,
        found: Result<Option<T>, CredentialsError>,
        metrics: &CredentialMetrics,
    ) -> Option<T> {
        match found {
            Ok(new) => {
                self.failure = None;
                if new.is_some() {
                    metrics.reloaded.increment(1);
                }
                new
            }
            Err(error) => {
                if self.fails_again(&error.to_string()) {
                    metrics.failed.increment(1);
                }
                None
            }
        }
    }

    /// Whether two reloads in a row failed for this reason. The first one is ignored: certificate
    /// and key are two files, and a reload may fall between their replacements.
    fn fails_again(&mut self, reason: &str) -> bool {
        match &mut self.failure {
            Some(failure) if failure.reason == reason => {
                if !std::mem::replace(&mut failure.logged, true) {
                    tracing::warn!(
                        reason,
                        "credentials could not be reloaded; those read before stay in use"
                    );
                }
                true
            }
            _ => {
                self.failure = Some(Failure {
                    reason: reason.to_owned(),
                    logged: false,
                });
                false
            }
        }
    }
}
