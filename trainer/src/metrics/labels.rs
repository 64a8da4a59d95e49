//! Values of metric labels.

/// The label `state` of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateLabel {
    /// Waits for a worker.
    Queued,
    /// Is trained.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended by an error.
    Failed,
    /// Ended by a cancellation.
    Cancelled,
}

impl StateLabel {
    pub(super) const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];
    pub(super) const FINAL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Cancelled];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The label `outcome` of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEndLabel {
    /// It ended its job.
    Finished,
    /// A shutdown of the trainer released its job into the queue.
    Released,
    /// Its place was taken from its worker.
    Evicted,
    /// Its worker died.
    Died,
    /// Its worker did not find what it needs.
    NotBegun,
}

impl AttemptEndLabel {
    pub(super) const ALL: [Self; 5] = [
        Self::Finished,
        Self::Released,
        Self::Evicted,
        Self::Died,
        Self::NotBegun,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Released => "released",
            Self::Evicted => "evicted",
            Self::Died => "died",
            Self::NotBegun => "not_begun",
        }
    }
}

/// The label `from`: where an attempt to train a job starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptFrom {
    /// At the first step.
    Start,
    /// At a resume bundle.
    Bundle,
}
