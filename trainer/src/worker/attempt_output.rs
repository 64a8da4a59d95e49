//! The output of a worker in a process of its own: reports, bundles and drafts below its attempt on
//! the storage. Reports are appended one at a time, so that each follows all output before it.

use super::{
    bundles::{self, WrittenBundle},
    error::{BundleError, PublishError},
    outage::Outages,
    resume_bundles::ResumeBundles,
    running::RunningJob,
};
use crate::{
    attempt::{AttemptReport, BundleReport, DraftReport, Report, ResumePoint, draft_files},
    job::JobId,
    train::Bundle,
    wire,
};
use bytes::Bytes;
use digits_checkpoint::{
    Draft, Storage,
    runs::{Attempt, ReportLog},
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};
use tokio::{runtime::Handle, sync::Mutex, task::spawn_blocking};

/// The output of a worker.
pub(super) struct AttemptOutput {
    job: JobId,
    attempt: Attempt,
    storage: Storage,
    runtime: Handle,
    log: Mutex<ReportLog>,
    /// Held by a report until it is appended.
    turn: Mutex<()>,
    bundles: AtomicU64,
    drafts: AtomicU64,
    resume: Vec<ResumePoint>,
}

impl AttemptOutput {
    /// The output of an attempt that may resume from the bundles `resume`.
    pub(super) fn new(
        job: JobId,
        attempt: Attempt,
        storage: Storage,
        resume: Vec<ResumePoint>,
    ) -> Self {
        Self {
            job,
            log: Mutex::new(ReportLog::new(storage.clone(), attempt.clone())),
            turn: Mutex::default(),
            attempt,
            storage,
            runtime: Handle::current(),
            bundles: AtomicU64::new(0),
            drafts: AtomicU64::new(0),
            resume,
        }
    }

    pub(super) fn resume_bundles(&self) -> ResumeBundles {
        ResumeBundles::on_storage(
            self.job,
            self.storage.clone(),
            self.runtime.clone(),
            &self.resume,
        )
    }

    /// Appends a report; outlasts an outage, during which further ones wait behind it.
    pub(super) async fn report(
        &self,
        running: &RunningJob,
        outages: &Outages<'_>,
        report: Report,
    ) -> Result<(), PublishError> {
        let _turn = self.turn.lock().await;
        let report = AttemptReport {
            spent: running.spent(),
            step: running.step(),
            report,
        };
        let bytes = Bytes::from(wire::report_bytes(&report));
        let append = || async {
            let appended = self.log.lock().await.append(bytes.clone()).await;
            appended.map_err(PublishError::Storage)
        };
        outages.outlast(append).await
    }

    /// Puts the draft of a checkpoint and reports it.
    pub(super) async fn put_draft(
        &self,
        running: &RunningJob,
        outages: &Outages<'_>,
        draft: &Draft,
        weights_sha256: String,
    ) -> Result<(), PublishError> {
        let lineage = &draft.manifest.lineage;
        let number = self.drafts.fetch_add(1, Ordering::Relaxed) + 1;
        let files = draft_files(draft);
        let put = || async {
            let put = self.attempt.put_draft(&self.storage, number, files.clone());
            put.await.map_err(PublishError::Storage)
        };
        outages.outlast(put).await?;
        let report = Report::Checkpoint(DraftReport {
            number,
            epoch: lineage.epoch,
            step: lineage.step,
            weights_sha256,
        });
        self.report(running, outages, report).await
    }

    /// Puts a bundle and reports it.
    pub(super) async fn write_bundle(
        &self,
        running: &RunningJob,
        outages: &Outages<'_>,
        bundle: Bundle,
    ) -> Result<WrittenBundle, BundleError> {
        let (step, begun) = (bundle.step, Instant::now());
        let encoding = spawn_blocking(move || bundles::encode(step, &bundle.encode()));
        let file = encoding.await.map_err(BundleError::panicked)?;
        let bytes = file.len();
        // A number of its own, because a write that failed may still appear.
        let number = self.bundles.fetch_add(1, Ordering::Relaxed) + 1;
        self.attempt
            .put_bundle(&self.storage, number, file.into())
            .await?;
        let elapsed = begun.elapsed();
        let report = Report::Bundle(BundleReport {
            number,
            step,
            elapsed,
        });
        let reported = self.report(running, outages, report).await;
        reported.map_err(BundleError::Report)?;
        Ok(WrittenBundle { bytes, elapsed })
    }
}
