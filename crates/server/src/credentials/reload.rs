//! Reads the credential files again on a timer, and swaps in what changed. Contents are compared,
//! because Kubernetes replaces the files of a mounted Secret by swapping a symbolic link. Files
//! that cannot be used change nothing.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use digits_telemetry::supervisor::{RepeatedDeaths, Supervisor, Task};
use tokio_util::sync::CancellationToken;

use super::error::CredentialsError;
use super::files::{JWT_KEYS, ROLES, TOKENS, content_digest, read};
use super::follow_keys::follow;
use super::jwt::{KeySet, KeySource};
use super::metrics::CredentialMetrics;
use super::part::Part;
use super::role_rules;
use super::store::Credentials;
use super::tls::Contents;
use super::tokens;
use crate::config::ServerConfig;

/// Starts the tasks that reload the credentials until `stop`, if there are files to read or keys to
/// fetch.
///
/// If one of them keeps dying, the process must be restarted: it would go on with a certificate
/// that expires and with tokens that were revoked, whereas a new process reads the files at its
/// start.
pub(crate) fn supervise_reload(
    config: &ServerConfig,
    metrics: &CredentialMetrics,
    supervisor: &Supervisor,
    stop: CancellationToken,
) {
    let (credentials, interval) = (config.credentials.clone(), config.credentials_interval);
    if !credentials.has_tls() && !credentials.needs_identity() {
        return;
    }
    if credentials.shared.fetched_keys.is_some() {
        let (credentials, metrics) = (credentials.clone(), metrics.clone());
        let until = stop.clone();
        let start = move || {
            follow(
                credentials.clone(),
                metrics.clone(),
                interval,
                until.clone(),
            )
        };
        let task = Task::new("jwt-keys");
        supervisor.restart(task, RepeatedDeaths::FailLiveness, stop.clone(), start);
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
    roles: Part,
    keys: Part,
}

impl Reloader {
    fn new(credentials: Credentials, metrics: CredentialMetrics) -> Self {
        let expires = credentials.expires();
        metrics.certificate(expires);
        warn_if_expired(expires);
        warn_of(&credentials.doubts());
        let first = credentials.shared.first;
        Self {
            tls: Part::new(first.tls),
            tokens: Part::new(first.tokens),
            roles: Part::new(first.roles),
            keys: Part::new(first.keys),
            credentials,
            metrics,
        }
    }

    /// Reads all files once. Blocks.
    fn reload(&mut self) {
        let shared = Arc::clone(&self.credentials.shared);
        if let Some(files) = &shared.files.tls {
            let tls = self.tls.reload(
                &self.metrics,
                || Contents::read(files),
                Contents::digest,
                |contents| contents.build(files),
            );
            if let Some(tls) = tls {
                tracing::info!("certificate reloaded");
                warn_if_expired(Some(tls.expires));
                warn_of(&tls.doubts);
                self.metrics.certificate(Some(tls.expires));
                shared.update(|current| current.tls = Some(tls.clone()));
            }
        }
        if let Some(path) = &shared.files.tokens {
            let build = |content: &Vec<u8>| tokens::build(path, content);
            if let Some(tokens) =
                reload_file(&mut self.tokens, &self.metrics, (TOKENS, path), build)
            {
                tracing::info!("tokens reloaded");
                shared.update(|current| current.tokens = Some(Arc::clone(&tokens)));
            }
        }
        if let Some(path) = &shared.files.roles {
            let methods = shared.files.methods();
            let build = |content: &Vec<u8>| role_rules::build(path, content, methods);
            if let Some(rules) = reload_file(&mut self.roles, &self.metrics, (ROLES, path), build) {
                tracing::info!("roles reloaded");
                shared.update(|current| current.set_rules(&rules));
            }
        }
        if let Some(KeySource::File(path)) = shared.files.jwt.as_ref().map(|jwt| &jwt.keys) {
            let build = |content: &Vec<u8>| {
                let keys = KeySet::parse(content);
                keys.map_err(|reason| CredentialsError::file(JWT_KEYS, path, reason))
            };
            if let Some(keys) = reload_file(&mut self.keys, &self.metrics, (JWT_KEYS, path), build)
            {
                tracing::info!("keys of JWTs reloaded");
                let keys = Arc::new(keys);
                shared.update(|current| current.set_keys(&keys));
            }
        }
    }
}

/// What `build` makes of the file that `flag` names, if it changed.
fn reload_file<T>(
    part: &mut Part,
    metrics: &CredentialMetrics,
    (flag, path): (&'static str, &Path),
    build: impl FnOnce(&Vec<u8>) -> Result<T, CredentialsError>,
) -> Option<T> {
    let digest = |content: &Vec<u8>| content_digest(content);
    part.reload(metrics, || read(flag, path), digest, build)
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
