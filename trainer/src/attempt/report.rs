//! The reports of a worker: numbered from 1, each about all that came since the one before.

use crate::job::{CurveRow, JobOutcome};
use std::time::Duration;

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptReport {
    /// Time of training over all attempts.
    pub spent: Duration,
    /// Steps done.
    pub step: u64,
    /// What it is about.
    pub report: Report,
}

/// What a report is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The first report. Its nonce tells the workers apart that were started for one attempt.
    Opened {
        /// Random.
        nonce: String,
    },
    /// The data set is loaded, and the training begins.
    Began {
        /// The device.
        device: String,
        /// Digest of the data set.
        dataset_digest: String,
    },
    /// The training is set up.
    Started(TrainingFacts),
    /// New rows of the curves.
    Rows(Vec<CurveRow>),
    /// Further steps were done.
    Progress,
    /// The draft of a checkpoint is on the storage.
    Checkpoint(DraftReport),
    /// A resume bundle is on the storage; all output before it was reported before.
    Bundle(BundleReport),
    /// The last report.
    Ended(WorkerEnd),
}

/// Facts that are fixed when the training starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainingFacts {
    /// Steps of all epochs.
    pub steps: u64,
    /// Steps of one epoch.
    pub steps_per_epoch: u64,
    /// Images to train on.
    pub train_images: u64,
    /// Steps done before; 0 unless the training continues from a bundle.
    pub steps_done: u64,
}

/// A draft of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftReport {
    /// Its number in the attempt, from 1.
    pub number: u64,
    /// Epoch after which it was taken.
    pub epoch: u32,
    /// Steps done.
    pub step: u64,
    /// Digest of its weights.
    pub weights_sha256: String,
}

/// A resume bundle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BundleReport {
    /// Its number in the attempt, from 1.
    pub number: u64,
    /// Steps done when it was taken.
    pub step: u64,
    /// Time that encoding and writing it took.
    pub elapsed: Duration,
}

/// Why a worker ended.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerEnd {
    /// The job is over.
    Finished {
        /// Its outcome.
        outcome: JobOutcome,
        /// The loss became infinite or NaN.
        loss_not_finite: bool,
    },
    /// The worker was stopped, and the job can be resumed; this is its outcome if it was cancelled.
    Stopped(JobOutcome),
}
