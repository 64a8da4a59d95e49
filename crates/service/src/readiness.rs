//! Readiness of the service, as reported by `/readyz` and gRPC health.

use std::time::Duration;

use digits_server::health::Health;
use digits_telemetry::liveness::Liveness;
use digits_telemetry::readiness::Readiness;
use tokio::time::sleep;

/// The readiness of a service; clones share it. It starts as not ready.
#[derive(Debug, Clone)]
pub struct ServiceReadiness {
    pub(crate) health: Health,
    pub(crate) http: Readiness,
    pub(crate) liveness: Liveness,
}

impl ServiceReadiness {
    /// Reports ready and SERVING, unless the process cannot answer requests any more.
    pub async fn set_ready(&self) {
        if self.liveness.unable().is_cancelled() {
            return;
        }
        self.http.set_ready();
        self.health.set_serving().await;
        // It may have become so in between, and SERVING must not be the last word.
        if self.liveness.unable().is_cancelled() {
            self.health.set_not_serving().await;
        }
    }

    /// Changes the reason in `/readyz` for not being ready yet.
    pub fn set_not_ready(&self, reason: impl Into<String>) {
        self.http.set_not_ready(reason);
    }

    /// Reports not ready and NOT_SERVING until [`set_ready`](Self::set_ready); `/readyz` shows
    /// `reason`.
    pub async fn set_unready(&self, reason: impl Into<String>) {
        self.http.set_not_ready(reason);
        self.health.set_not_serving().await;
    }

    /// Reports NOT_SERVING once the process cannot answer requests any more, as `/readyz` does by
    /// itself.
    pub(crate) async fn watch_liveness(&self) {
        self.liveness.unable().cancelled().await;
        self.health.set_not_serving().await;
    }

    /// Reports not ready and NOT_SERVING, then waits `delay`, in which load balancers see it while
    /// requests are still answered.
    pub(crate) async fn withdraw(&self, delay: Duration) {
        self.http.set_not_ready("shutting down");
        self.health.set_not_serving().await;
        sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn withdrawing_reports_not_ready_and_waits_for_the_delay() {
        let (health, _service) = Health::new(&["test.v1.Echo"]).await;
        let http = Readiness::new();
        let readiness = ServiceReadiness {
            health,
            http: http.clone(),
            liveness: Liveness::default(),
        };
        readiness.set_not_ready("loading");
        assert_eq!(http.check(), Err("loading".to_owned()));
        readiness.set_ready().await;
        assert_eq!(http.check(), Ok(()));
        readiness.set_unready("lost").await;
        assert_eq!(http.check(), Err("lost".to_owned()));
        readiness.set_ready().await;
        let begun = Instant::now();
        readiness.withdraw(Duration::from_secs(5)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        assert_eq!(http.check(), Err("shutting down".to_owned()));
    }
}
