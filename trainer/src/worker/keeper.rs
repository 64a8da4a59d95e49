//! Keeps a running job's bundles: decides when one is due, and writes it on a thread of its own, one at a time,
//! after everything that was told before it is durable.
//!
//! A bundle that cannot be written costs no training: the one before stays, and the next is tried when it is due.

use super::{Tools, durable::Durable, running::RunningJob};
use crate::{job::JobId, train::Bundle};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// The first bundle of an attempt, and one after an epoch, are due so many times sooner.
const SOONER: u32 = 10;

/// A bundle, and what must be durable before it.
pub(super) struct Parcel {
    pub(super) bundle: Bundle,
    /// Rows told before it.
    pub(super) rows: u64,
    /// Snapshots told before it.
    pub(super) snapshots: u64,
}

/// The training's end of the channel.
pub(super) struct Keeper {
    interval: Duration,
    newest: Instant,
    /// One is being written.
    busy: Arc<AtomicBool>,
    parcels: SyncSender<Parcel>,
    thread: thread::JoinHandle<()>,
}

impl Keeper {
    pub(super) fn start(
        tools: &Tools,
        job: JobId,
        running: &Arc<RunningJob>,
        durable: &Arc<Durable>,
    ) -> io::Result<Self> {
        let (parcels, receiver) = sync_channel(1);
        let busy = Arc::<AtomicBool>::default();
        let (tools, running) = (tools.clone(), Arc::clone(running));
        let (durable, writing) = (Arc::clone(durable), Arc::clone(&busy));
        let interval = tools.bundle_interval;
        let thread = thread::Builder::new()
            .name("bundles".to_owned())
            .spawn(move || keep_all(&tools, job, &running, &durable, &receiver, &writing))?;
        Ok(Self {
            interval,
            newest: Instant::now()
                .checked_sub(interval - interval / SOONER)
                .unwrap_or_else(Instant::now),
            busy,
            parcels,
            thread,
        })
    }

    /// Whether one is due between two steps.
    pub(super) fn is_due(&self) -> bool {
        self.is_free_since(self.interval)
    }

    /// Whether one is due after an epoch.
    pub(super) fn is_due_after_epoch(&self) -> bool {
        self.is_free_since(self.interval / SOONER)
    }

    fn is_free_since(&self, time: Duration) -> bool {
        !self.busy.load(Ordering::Acquire) && self.newest.elapsed() >= time
    }

    /// Takes one that is due, or the last one before the end, which may wait for one that is being written.
    pub(super) fn take(&mut self, parcel: Parcel) {
        self.newest = Instant::now();
        self.busy.store(true, Ordering::Release);
        // It fails only where the thread is gone: then there are no more bundles, and the job goes on.
        let _ = self.parcels.send(parcel);
    }

    /// Waits until the last one is written.
    pub(super) fn close(self) {
        drop(self.parcels);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the bundles panicked");
        }
    }
}

fn keep_all(
    tools: &Tools,
    job: JobId,
    running: &RunningJob,
    durable: &Durable,
    parcels: &Receiver<Parcel>,
    busy: &AtomicBool,
) {
    for parcel in parcels {
        if durable.wait(parcel.rows, parcel.snapshots) {
            let keep = || keep(tools, job, running, &parcel.bundle);
            // A bundle is made of its parcel alone, so the next one is not affected.
            if catch_unwind(AssertUnwindSafe(keep)).is_err() {
                tools.metrics.bundle_failed();
                tracing::error!(%job, step = parcel.bundle.step, "writing a bundle panicked; the one before stays");
            }
        }
        busy.store(false, Ordering::Release);
    }
}

fn keep(tools: &Tools, job: JobId, running: &RunningJob, bundle: &Bundle) {
    let begun = Instant::now();
    let bytes = bundle.encode();
    if let Err(error) = tools.bundles.write(job, bundle.step, &bytes) {
        tools.metrics.bundle_failed();
        tracing::warn!(%job, step = bundle.step, %error, "a bundle was not written; the one before stays");
        return;
    }
    tools.metrics.bundle_written(begun.elapsed());
    if let Err(error) = tools.store.bundle_kept(job, bundle.step, running.spent()) {
        tracing::warn!(%job, step = bundle.step, %error, "a bundle was written but not noted");
    }
    tracing::debug!(
        %job, step = bundle.step, bytes = bytes.len(),
        milliseconds = begun.elapsed().as_secs_f64() * 1e3, "bundle written"
    );
}
