//! Reads the credential files again on a timer, and swaps in what changed. Contents are compared,
//! because Kubernetes replaces the files of a mounted Secret by swapping a symbolic link. Files
//! that cannot be used change nothing.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use digits_telemetry::supervisor::{RepeatedDeaths, Supervisor, Task};
use tokio_util::sync::CancellationToken;

use super::error::CredentialsError;
use super::files::{Digest, TOKENS, read};
use super::metrics::CredentialMetrics;
use super::store::{Credentials, Current};
use super::tls::Contents;
use super::tokens;
use crate::config::ServerConfig;

/// Starts the task that reloads the credentials until `stop`, if there are files to read.
///
/// If that task keeps dying, the process must be restarted: it would go on with a certificate that
/// expires and with tokens that were revoked, whereas a new process reads the files at its start.
pub(crate) fn supervise_reload(
    config: &ServerConfig,
    metrics: &CredentialMetrics,
    supervisor: &Supervisor,
    stop: CancellationToken,
) {
    let (credentials, interval) = (config.credentials.clone(), config.credentials_interval);
    if !credentials.has_tls() && !credentials.needs_token() {
        return;
    }
    let (metrics, until) = (metrics.clone(), stop.clone());
    let start = move || {
        let reloader = Reloader::new(credentials.clone(), metrics.clone());
        run(reloader, interval, until.clone())
    };
    let task = Task::new("credentials");
    supervisor.restart(task, RepeatedDeaths::FailLiveness, stop, start);
}

/// Reloads every `interval` until `stop`. Panics when a reload does.
async fn run(mut reloader: Reloader, interval: Duration, stop: CancellationToken) {
    let wait = || tokio::time::sleep(interval);
    while stop.run_until_cancelled(wait()).await.is_some() {
        // Reads files and checks a key: not on a thread that serves requests.
        let reload = tokio::task::spawn_blocking(move || {
            reloader.reload();
            reloader
        });
        reloader = match reload.await {
            Ok(reloader) => reloader,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => return,
            },
        };
    }
}

struct Reloader {
    credentials: Credentials,
    metrics: CredentialMetrics,
    tls: Part,
    tokens: Part,
}

/// The state of the files of TLS, or of the token file.
#[derive(Default)]
struct Part {
    /// Digest of the contents in use.
    digest: Digest,
    /// Error of the last reload.
    failure: Option<Failure>,
}

struct Failure {
    reason: String,
    logged: bool,
}

impl Reloader {
    fn new(credentials: Credentials, metrics: CredentialMetrics) -> Self {
        let part = |digest: Option<Digest>| Part {
            digest: digest.unwrap_or_default(),
            failure: None,
        };
        let expires = credentials.expires();
        metrics.certificate(expires);
        warn_if_expired(expires);
        warn_of(&credentials.doubts());
        Self {
            tls: part(credentials.shared.first_tls),
            tokens: part(credentials.shared.first_tokens),
            credentials,
            metrics,
        }
    }

    /// Reads all files once. Blocks.
    fn reload(&mut self) {
        let shared = Arc::clone(&self.credentials.shared);
        let mut next = Current::clone(&shared.current.load());
        let mut changed = false;
        if let Some(files) = &shared.files.tls {
            let found = self.tls.reload(
                || Contents::read(files),
                Contents::digest,
                |contents| contents.build(files),
            );
            if let Some(tls) = self.tls.settle(found, &self.metrics) {
                tracing::info!("certificate reloaded");
                warn_if_expired(Some(tls.expires));
                warn_of(&tls.doubts);
                self.metrics.certificate(Some(tls.expires));
                next.tls = Some(tls);
                changed = true;
            }
        }
        if let Some(path) = &shared.files.tokens {
            let found = self.tokens.reload(
                || read(TOKENS, path),
                |content| tokens::content_digest(content),
                |content| tokens::build(path, content),
            );
            if let Some(tokens) = self.tokens.settle(found, &self.metrics) {
                tracing::info!("tokens reloaded");
                next.tokens = Some(tokens);
                changed = true;
            }
        }
        if changed {
            shared.current.store(Arc::new(next));
        }
    }
}

impl Part {
    /// Contents of the files, if they changed.
    fn reload<C, T>(
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

    /// Counts the outcome of a reload, and logs a failure once.
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

fn warn_of(doubts: &[&str]) {
    for doubt in doubts {
        tracing::warn!("clients refuse the certificate in --tls-certificate-file: it {doubt}");
    }
}

fn warn_if_expired(expires: Option<i64>) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    if expires.is_some_and(|expires| u64::try_from(expires).unwrap_or(0) < now) {
        tracing::warn!("the certificate in --tls-certificate-file has expired: clients refuse it");
    }
}
