//! Decides when a running job's resume bundle is due, and writes it, one at a time, once all output
//! before it is durable.
//!
//! A bundle that cannot be written ends no training: the previous one stays, and the next is tried
//! when it is due.

use super::{
    error::{BundleError, JobError},
    job_run::JobRun,
    sink::Sink,
    watermark::{OutputCount, WatermarkReader},
};
use crate::train::Bundle;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// The first bundle of an attempt, and one after an epoch, are due this many times sooner.
const EARLY_FACTOR: u32 = 10;

/// A bundle that is to be written once the output before it is durable.
pub(super) struct PendingBundle {
    pub(super) bundle: Bundle,
    pub(super) after: OutputCount,
}

/// The training's end of the queue of bundles, and the clock that makes them due.
pub(super) struct BundleWriter {
    interval: Duration,
    newest: Instant,
    /// A bundle is being written.
    busy: Arc<AtomicBool>,
    sink: Sink<PendingBundle>,
}

impl BundleWriter {
    pub(super) fn start(run: &Arc<JobRun>, watermark: WatermarkReader) -> Self {
        let busy = Arc::<AtomicBool>::default();
        let services = &run.services;
        let interval = services.bundle_interval;
        let writer = Writer {
            run: Arc::clone(run),
            watermark,
            busy: Arc::clone(&busy),
        };
        Self {
            interval,
            newest: Instant::now()
                .checked_sub(interval - interval / EARLY_FACTOR)
                .unwrap_or_else(Instant::now),
            busy,
            sink: Sink::start(&services.runtime, 1, |pending| writer.write_all(pending)),
        }
    }

    /// Whether a bundle is due between two steps.
    pub(super) fn is_due(&self) -> bool {
        self.is_idle_for(self.interval)
    }

    /// Whether a bundle is due after an epoch.
    pub(super) fn is_due_after_epoch(&self) -> bool {
        self.is_idle_for(self.interval / EARLY_FACTOR)
    }

    fn is_idle_for(&self, time: Duration) -> bool {
        !self.busy.load(Ordering::Acquire) && self.newest.elapsed() >= time
    }

    /// Queues a bundle; blocks while the one before waits, which only the last bundle of an attempt
    /// meets.
    pub(super) fn write(&mut self, bundle: PendingBundle) {
        self.newest = Instant::now();
        self.busy.store(true, Ordering::Release);
        // Fails only after the task has ended; the job continues without further bundles.
        let _ = self.sink.put(bundle);
    }

    /// Waits until the last bundle is written.
    pub(super) async fn close(self) {
        if let Err(error) = self.sink.close().await {
            tracing::error!(%error, "the task that writes resume bundles panicked");
        }
    }
}

struct Writer {
    run: Arc<JobRun>,
    watermark: WatermarkReader,
    busy: Arc<AtomicBool>,
}

impl Writer {
    async fn write_all(
        mut self,
        mut pending: mpsc::Receiver<PendingBundle>,
    ) -> Result<(), JobError> {
        while let Some(PendingBundle { bundle, after }) = pending.recv().await {
            if self.watermark.wait_for(after).await {
                self.write(bundle).await;
            }
            self.busy.store(false, Ordering::Release);
        }
        Ok(())
    }

    async fn write(&self, bundle: Bundle) {
        let (run, step) = (&*self.run, bundle.step);
        let (job, metrics) = (run.job, &run.services.metrics);
        let outages = run.outages();
        let written = run.output.write_bundle(&run.running, &outages, bundle);
        match written.await {
            Ok(written) => {
                metrics.bundle_written(written.elapsed);
                tracing::debug!(
                    %job, step, bytes = written.bytes,
                    milliseconds = written.elapsed.as_secs_f64() * 1e3,
                    "resume bundle written"
                );
            }
            Err(BundleError::Panic(panic)) => {
                metrics.bundle_failed();
                tracing::error!(%job, step, panic, "writing a resume bundle panicked; the previous one stays");
            }
            Err(error) => {
                metrics.bundle_failed();
                tracing::warn!(%job, step, %error, "a resume bundle was not written; the previous one stays");
            }
        }
    }
}
