//! Where the output of an attempt becomes durable: in the job database and on the storage, by the
//! trainer itself; or as reports on the storage, by a worker in a process of its own.

use super::{
    attempt_output::AttemptOutput,
    bundles::WrittenBundle,
    context::WorkerContext,
    error::{BundleError, PublishError},
    outage::Outages,
    resume_bundles::ResumeBundles,
    running::RunningJob,
};
use crate::{
    attempt::{Report, TrainingFacts},
    job::JobId,
    store::Store,
    train::Bundle,
};
use digits_checkpoint::serving::Scope;
use std::{sync::Arc, time::Instant};
use tokio::task::spawn_blocking;

/// Where the output of an attempt becomes durable.
#[derive(Clone)]
pub(super) enum Output {
    /// In the job database and on the storage.
    Trainer(Box<TrainerOutput>),
    /// As reports on the storage.
    Reports(Arc<AttemptOutput>),
}

/// The trainer's own services.
#[derive(Clone)]
pub(super) struct TrainerOutput {
    pub(super) context: WorkerContext,
    /// What the checkpoints of the job may replace.
    pub(super) scope: Scope,
}

/// The device and the data set with which a training begins.
#[derive(Clone)]
pub(super) struct Beginning {
    pub(super) device: String,
    pub(super) dataset_digest: String,
}

impl Output {
    /// The job database whose watchers see that a job waits for its storage.
    pub(super) fn store(&self) -> Option<&Store> {
        match self {
            Self::Trainer(trainer) => Some(&trainer.context.store),
            Self::Reports(_) => None,
        }
    }

    /// The bundles that the attempt may resume from.
    pub(super) fn resume_bundles(&self, job: JobId) -> ResumeBundles {
        match self {
            Self::Trainer(trainer) => {
                ResumeBundles::in_state(job, Arc::clone(&trainer.context.bundles))
            }
            Self::Reports(reports) => reports.resume_bundles(),
        }
    }

    /// Records that the training begins; whether its cancellation was requested meanwhile.
    pub(super) async fn begin(
        &self,
        running: &RunningJob,
        outages: &Outages<'_>,
        beginning: Beginning,
    ) -> Result<bool, PublishError> {
        match self {
            Self::Trainer(trainer) => {
                let begin = || {
                    let Beginning {
                        device,
                        dataset_digest,
                    } = beginning.clone();
                    trainer
                        .context
                        .store
                        .begin(outages.job(), device, dataset_digest)
                };
                Ok(outages.outlast(begin).await?)
            }
            Self::Reports(reports) => {
                let report = Report::Began {
                    device: beginning.device,
                    dataset_digest: beginning.dataset_digest,
                };
                reports.report(running, outages, report).await?;
                Ok(false)
            }
        }
    }

    /// Reports facts about the training, which the trainer itself has seen.
    pub(super) async fn started(
        &self,
        running: &RunningJob,
        outages: &Outages<'_>,
        facts: TrainingFacts,
    ) {
        if let Self::Reports(reports) = self {
            let reported = reports.report(running, outages, Report::Started(facts));
            if let Err(error) = reported.await {
                // The next report fails too, and with it the job.
                tracing::warn!(job = %outages.job(), %error, "the start of a training is not reported");
            }
        }
    }

    /// Writes a resume bundle and records it.
    pub(super) async fn write_bundle(
        &self,
        running: &RunningJob,
        outages: &Outages<'_>,
        bundle: Bundle,
    ) -> Result<WrittenBundle, BundleError> {
        let (job, step, begun) = (outages.job(), bundle.step, Instant::now());
        match self {
            Self::Trainer(trainer) => {
                let context = &trainer.context;
                let bundles = Arc::clone(&context.bundles);
                let writing = spawn_blocking(move || {
                    let bytes = bundle.encode();
                    bundles.write(job, step, &bytes)?;
                    Ok::<_, BundleError>(bytes.len())
                });
                let bytes = writing.await.map_err(BundleError::panicked)??;
                let elapsed = begun.elapsed();
                let recording = context
                    .store
                    .record_bundle(job, step, running.spent())
                    .await;
                if let Err(error) = recording {
                    tracing::warn!(%job, step, %error, "a resume bundle was written but not recorded in the job database");
                }
                Ok(WrittenBundle { bytes, elapsed })
            }
            Self::Reports(reports) => reports.write_bundle(running, outages, bundle).await,
        }
    }
}
