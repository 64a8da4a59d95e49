//! Domain types of a job: its id, states, events, curve rows and outcome.

use crate::metrics::StateLabel;
use digits_checkpoint::{id::CheckpointId, manifest::Evaluation, serving::Decision};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Id of a job: a UUIDv7. Never used for order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId(Uuid);

impl JobId {
    /// A new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        match Uuid::try_parse(text) {
            Ok(id) if id.hyphenated().to_string() == text => Ok(Self(id)),
            _ => Err(InvalidJobId),
        }
    }
}

/// The text is not a job id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a job id: give a UUID in its hyphenated form, as SubmitJob and ListJobs return it")]
pub struct InvalidJobId;

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waits for a worker.
    Queued,
    /// Is being trained.
    Running,
    /// All its steps were done, or early stopping ended it.
    Succeeded,
    /// Ended by an error.
    Failed,
    /// Ended by a cancellation.
    Cancelled,
}

impl JobState {
    /// All states, in the order of their numbers on the wire and in the database.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Its number on the wire and in the database, from 1.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Queued => 1,
            Self::Running => 2,
            Self::Succeeded => 3,
            Self::Failed => 4,
            Self::Cancelled => 5,
        }
    }

    /// The state of a number, or `None`.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// Whether no other state follows.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl From<JobState> for StateLabel {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Queued => Self::Queued,
            JobState::Running => Self::Running,
            JobState::Succeeded => Self::Succeeded,
            JobState::Failed => Self::Failed,
            JobState::Cancelled => Self::Cancelled,
        }
    }
}

/// An event in the life of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The state changed to one that is not final.
    StateChanged {
        /// The new state.
        state: JobState,
        /// The device, when the job starts to run; else empty.
        device: String,
        /// Why the job is queued although it was taken from the queue; else empty.
        reason: String,
    },
    /// The curves have a new row.
    Row(CurveRow),
    /// A checkpoint was published.
    CheckpointPublished {
        /// Its id.
        id: CheckpointId,
        /// Epoch after which it was taken.
        epoch: u32,
        /// Decision about its promotion.
        decision: Decision,
    },
    /// A checkpoint waits for a storage that fails, or, with nothing, no longer.
    Publishing(Option<Publishing>),
    /// The job has ended.
    Finished {
        /// The final state.
        state: JobState,
        /// What went wrong; empty unless it failed.
        error: String,
        /// The finished network on the test set; only when it succeeded.
        test: Option<Evaluation>,
    },
}

/// Why a checkpoint of a running job is not published yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Publishing {
    /// Epoch after which the checkpoint was taken.
    pub epoch: u32,
    /// What fails: no paths and no causes.
    pub reason: String,
    /// When the first attempt failed, in microseconds since 1970.
    pub since_us: i64,
    /// When the job fails unless the checkpoint is published before.
    pub until_us: i64,
    /// Attempts that failed so far.
    pub failed_attempts: u32,
}

/// What the worker of a job that was taken from the queue waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitCause {
    /// The scheduler's own queue.
    Queue,
    /// A machine with enough free resources.
    Placement,
    /// The start on that machine.
    Start,
}

impl WaitCause {
    /// All causes, in the order of their numbers in the database, from 1.
    pub const ALL: [Self; 3] = [Self::Queue, Self::Placement, Self::Start];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Placement => "placement",
            Self::Start => "start",
        }
    }

    /// Its number in the database.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Queue => 1,
            Self::Placement => 2,
            Self::Start => 3,
        }
    }

    /// The cause of a number, or `None`.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.number() == number)
    }
}

/// One row of a job's curves.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveRow {
    /// When it was taken, in microseconds since 1970.
    pub at_us: i64,
    /// Steps done over all epochs.
    pub step: u64,
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step in the epoch, from 1.
    pub step_in_epoch: u32,
    /// Mean cross-entropy of that step's batch before the step, in nats.
    pub train_loss: f64,
    /// The whole validation set after the step.
    pub validation: Evaluation,
    /// Learning rate of that step.
    pub learning_rate: f64,
    /// Training images per second since the row before, validation left out.
    pub samples_per_second: f64,
}

/// The outcome of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobOutcome {
    /// SUCCEEDED, FAILED or CANCELLED.
    pub state: JobState,
    /// Error message for the client; empty unless the job failed.
    pub error: String,
    /// The finished network on the test set.
    pub test: Option<Evaluation>,
    /// Steps done, where the training got that far.
    pub step: Option<u64>,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of validation.
    pub validation_seconds: f64,
}

impl JobOutcome {
    /// Outcome of a cancelled job.
    #[must_use]
    pub fn cancelled() -> Self {
        Self {
            state: JobState::Cancelled,
            error: String::new(),
            test: None,
            step: None,
            train_seconds: 0.0,
            validation_seconds: 0.0,
        }
    }

    /// Outcome of a failed job.
    #[must_use]
    pub fn failed(error: String) -> Self {
        Self {
            state: JobState::Failed,
            error,
            ..Self::cancelled()
        }
    }
}

/// Numbers of a network, as torchinfo computes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkSize {
    /// Weights and biases.
    pub parameters: u64,
    /// Bytes of the parameters in float32.
    pub parameter_bytes: u64,
    /// Multiply-adds of one image's forward pass, biases counted as one each.
    pub multiply_adds: u64,
    /// Outputs of all layers for one image, in bytes.
    pub activation_bytes: u64,
}

/// Now, in microseconds since 1970.
#[must_use]
pub fn now_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_keep_their_numbers() {
        for (index, state) in JobState::ALL.into_iter().enumerate() {
            assert_eq!(state.number(), i32::try_from(index + 1).expect("small"));
            assert_eq!(JobState::from_number(state.number()), Some(state));
        }
        assert_eq!(JobState::from_number(0), None);
        assert_eq!(JobState::from_number(6), None);
    }

    #[test]
    fn job_ids() {
        let id = JobId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "x", &id.to_string().to_uppercase()] {
            assert_eq!(bad.parse::<JobId>(), Err(InvalidJobId), "{bad:?}");
        }
    }
}
