//! States of sweeps and of their trials.

use crate::job::JobState;

/// State of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepState {
    /// Trials are running, or will.
    Running,
    /// All trials have ended, and one of the last rung succeeded.
    Succeeded,
    /// All trials of a rung have ended, and none succeeded.
    Failed,
    /// Cancelled.
    Cancelled,
}

impl SweepState {
    /// Its number in the database.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Running => 1,
            Self::Succeeded => 2,
            Self::Failed => 3,
            Self::Cancelled => 4,
        }
    }

    /// The state of a number, or `None`.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        let all = [
            Self::Running,
            Self::Succeeded,
            Self::Failed,
            Self::Cancelled,
        ];
        all.into_iter().find(|state| state.number() == number)
    }

    /// Its name in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// State of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialState {
    /// Its job is not submitted yet.
    Pending,
    /// Its job has this state.
    Submitted(JobState),
    /// It has failed without its job having failed: the job was not accepted, or has no result.
    Failed,
    /// It was cancelled before its job was submitted.
    Cancelled,
}
