//! The push thread: pushes one batch after the other, and retries a batch until it is accepted,
//! refused, or too old.

use super::{
    client::{Client, PushOutcome},
    points::Batch,
    queue::Queue,
};
use crate::{job::now_us, metrics::DropReason};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Maximum age of a batch: shorter than the out-of-order window in `deploy/prometheus`, after which
/// Prometheus refuses samples.
const MAX_AGE: Duration = Duration::from_secs(25 * 60);
/// Maximum number of errors per batch. An error may be permanent: Prometheus answers 500 to a
/// sample that is too old.
const MAX_ERRORS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// A point further in the future than this means that the clock was set back.
const MAX_AHEAD: Duration = Duration::from_secs(2);

pub(super) struct Sender {
    client: Client,
    queue: Arc<Queue>,
    batch: Option<Arc<Batch>>,
    /// Consecutive failed attempts, over all batches.
    failures: u32,
    not_before: Instant,
}

impl Sender {
    pub(super) fn new(client: Client, queue: Arc<Queue>) -> Self {
        Self {
            client,
            queue,
            batch: None,
            failures: 0,
            not_before: Instant::now(),
        }
    }

    /// Runs until the queue is closed. After a panic it may be run again.
    pub(super) fn run(&mut self) {
        // A batch is still here only after a panic, and may be its cause.
        if let Some(batch) = self.batch.take() {
            self.drop_batch(&batch, DropReason::Failed, "the push thread panicked");
        }
        while let Some(batch) = self.queue.next() {
            let batch = Arc::new(batch);
            self.batch = Some(Arc::clone(&batch));
            match self.deliver(&batch) {
                Ok(()) => self.queue.pushed(&batch),
                Err((reason, cause)) => self.drop_batch(&batch, reason, &cause),
            }
            self.batch = None;
        }
    }

    /// Pushes a batch until the receiver accepts it.
    ///
    /// # Errors
    /// Why the batch is dropped, and the cause for the log.
    fn deliver(&mut self, batch: &Batch) -> Result<(), (DropReason, String)> {
        let body = batch.request().body();
        let body = body.map_err(|error| (DropReason::Refused, error.to_string()))?;
        let mut errors = 0;
        loop {
            let ahead = ahead(batch.latest_ms());
            if ahead > MAX_AHEAD {
                let cause = "they lie in the future: was the clock set back?";
                return Err((DropReason::Clock, cause.to_owned()));
            }
            let pause = self.not_before.saturating_duration_since(Instant::now());
            if !self.queue.sleep(pause.max(ahead)) {
                return Err((DropReason::Shutdown, "the trainer ended".to_owned()));
            }
            let cause = match self.client.push(&body) {
                PushOutcome::Pushed => {
                    if std::mem::take(&mut self.failures) > 0 {
                        tracing::info!("curves are pushed again");
                    }
                    return Ok(());
                }
                PushOutcome::Refused(cause) => return Err((DropReason::Refused, cause)),
                PushOutcome::Error(cause) => {
                    errors += 1;
                    cause
                }
                PushOutcome::Unreachable(cause) => cause,
            };
            if self.failures == 0 {
                tracing::warn!(reason = cause, "curves cannot be pushed; trying again");
            }
            self.not_before = Instant::now() + pause_after(self.failures);
            self.failures += 1;
            if let Some(reason) = drop_reason(errors, batch.since.elapsed()) {
                return Err((reason, cause));
            }
        }
    }

    fn drop_batch(&self, batch: &Batch, reason: DropReason, cause: &str) {
        self.queue.dropped(batch, reason);
        tracing::warn!(job = %batch.labels.job, points = batch.points.len(), reason = reason.as_str(), cause,
            "points of a curve are dropped");
    }
}

/// Time until the clock reads `at_ms`.
fn ahead(at_ms: i64) -> Duration {
    let ahead_ms = at_ms.saturating_sub(now_us().div_euclid(1_000));
    Duration::from_millis(u64::try_from(ahead_ms).unwrap_or(0))
}

/// Pause after a failed attempt, by the number of failed attempts before it.
fn pause_after(failures: u32) -> Duration {
    LAST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(failures.min(10)))
}

/// Whether a batch is dropped after a failed attempt.
fn drop_reason(errors: u32, age: Duration) -> Option<DropReason> {
    if errors >= MAX_ERRORS {
        Some(DropReason::Failed)
    } else {
        (age > MAX_AGE).then_some(DropReason::Expired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_gets_errors_is_dropped_after_eight_attempts() {
        assert_eq!(drop_reason(7, Duration::from_secs(60)), None);
        assert_eq!(
            drop_reason(8, Duration::from_secs(60)),
            Some(DropReason::Failed)
        );
    }

    #[test]
    fn an_unreachable_receiver_is_retried_until_the_samples_are_too_old() {
        let (mut age, mut attempts) = (Duration::ZERO, 0);
        while drop_reason(0, age).is_none() {
            let pause = pause_after(attempts);
            assert!(pause >= FIRST_PAUSE && pause <= LAST_PAUSE, "{pause:?}");
            age += pause;
            attempts += 1;
        }
        assert_eq!(drop_reason(0, age), Some(DropReason::Expired));
        assert!(attempts > 100, "{attempts}");
    }
}
