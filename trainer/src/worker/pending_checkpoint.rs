//! Turns a snapshot of the training into the files of a checkpoint, on blocking threads, so that
//! the training continues meanwhile.

use super::{error::PublishError, job_run::JobRun};
use crate::train::{self, Snapshot, Started, report::Subject};
use bytes::Bytes;
use digits_checkpoint::{
    Draft, encode_exam, encode_model,
    id::CheckpointId,
    manifest::{FORMAT, FileDigest, Files, Lineage, Manifest, Metrics, Report, TrainingSet},
    sha256_hex,
};
use std::time::Instant;

/// What the manifests of a job record about its training set.
#[derive(Clone, Debug)]
pub(super) struct TrainingRecord {
    split_digest: String,
    training: TrainingSet,
    /// CPU threads that libtorch computes with.
    threads: u32,
}

impl From<&Started> for TrainingRecord {
    fn from(started: &Started) -> Self {
        Self {
            split_digest: started.split_digest.clone(),
            training: started.training.clone(),
            threads: u32::try_from(started.threads).unwrap_or(u32::MAX),
        }
    }
}

/// A snapshot that waits for its publication.
pub(super) struct PendingCheckpoint {
    pub(super) snapshot: Snapshot,
    pub(super) record: TrainingRecord,
    /// When the training handed the weights out.
    pub(super) taken: Instant,
}

/// A snapshot with its encoded weights.
pub(super) struct EncodedWeights {
    snapshot: Snapshot,
    record: TrainingRecord,
    model: Bytes,
    /// Digest of `model.safetensors`.
    pub(super) sha256: String,
}

impl PendingCheckpoint {
    /// Encodes the weights, in milliseconds per million of them.
    pub(super) fn encode(self) -> EncodedWeights {
        let model: Bytes = encode_model(&self.snapshot.layers);
        EncodedWeights {
            sha256: sha256_hex(&model),
            snapshot: self.snapshot,
            record: self.record,
            model,
        }
    }
}

impl EncodedWeights {
    /// The files of a checkpoint under a new id, with a report card where the job wants one. Takes
    /// seconds to minutes for the report card, which only the last snapshot gets.
    ///
    /// # Errors
    /// [`PublishError::Stopped`] when the job was stopped during the report card.
    pub(super) fn draft(self, run: &JobRun) -> Result<Draft, PublishError> {
        let architecture = &run.plan.train.architecture;
        Ok(Draft {
            exam: encode_exam(
                &self.snapshot.exam,
                architecture.input_size,
                architecture.classes,
            ),
            manifest: Manifest {
                report: report(run, &self.snapshot)?,
                ..manifest(run, &self.record, &self.snapshot)
            },
            model: self.model,
        })
    }
}

/// The report card of the last checkpoint of a job that requests one. A report that fails does not
/// cost the checkpoint: `ReportCheckpoint` can measure it later.
fn report(run: &JobRun, snapshot: &Snapshot) -> Result<Option<Box<Report>>, PublishError> {
    // Only the last snapshot has a test.
    if !run.plan.report || snapshot.test.is_none() {
        return Ok(None);
    }
    let plan = &run.plan.train;
    let subject = Subject {
        layers: &snapshot.layers,
        architecture: &plan.architecture,
        input: &plan.input,
        temperature: snapshot.temperature,
        labels: &run.plan.shape.label_names,
    };
    let stop = || run.running.should_stop();
    let measured = train::report::report(&subject, &run.data.test, &stop);
    let made = measured.as_ref().ok().and_then(Option::as_ref);
    run.services
        .metrics
        .report_made(made.map(|report| report.seconds));
    match measured {
        Ok(Some(report)) => Ok(Some(Box::new(report))),
        Ok(None) => Err(PublishError::Stopped),
        Err(error) => {
            tracing::error!(job = %run.job, %error, "the report card of a checkpoint could not be measured");
            Ok(None)
        }
    }
}

fn manifest(run: &JobRun, record: &TrainingRecord, snapshot: &Snapshot) -> Manifest {
    let plan = &run.plan;
    // `publish` fills the digests in.
    let unknown = FileDigest {
        sha256: String::new(),
        size_bytes: 0,
    };
    Manifest {
        format: FORMAT,
        id: CheckpointId::generate(),
        model: plan.model.clone(),
        created_at: jiff::Timestamp::now(),
        after_sequence: None,
        architecture: plan.train.architecture.clone(),
        input: plan.train.input,
        labels: plan.shape.label_names.clone(),
        picture_normalization: plan.shape.picture_normalization,
        temperature: snapshot.temperature,
        files: Files {
            model: unknown.clone(),
            exam: unknown,
        },
        report: None,
        metrics: Metrics {
            validation: snapshot.validation,
            test: snapshot.test,
            train_loss: Some(snapshot.train_loss),
            calibration: snapshot.calibration,
        },
        training: Some(record.training.clone()),
        lineage: Lineage {
            job: Some(run.job.to_string()),
            spec: run.spec.json.clone(),
            spec_protobuf: run.spec.protobuf.clone(),
            seed: plan.train.seed,
            epoch: snapshot.epoch,
            step: snapshot.step,
            parent: plan.parent,
            dataset: plan.dataset_name.clone(),
            dataset_digest: run.data.digest.clone(),
            split_digest: record.split_digest.clone(),
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch_version: train::libtorch_version(),
            device: plan.train.device.to_string(),
            threads: Some(record.threads),
            imported_sha256: None,
        },
    }
}
