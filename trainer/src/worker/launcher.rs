//! The interface of the launchers, which start and stop the workers of attempts.

use super::{error::LaunchError, slot::WorkerSlot};
use crate::job::WaitCause;
use digits_checkpoint::runs::Attempt;
use std::time::Duration;

/// Starts and stops workers, which train one attempt each, outside this process.
pub(super) trait Launcher: Send + Sync {
    /// Starts the worker of an attempt, whose record is on the storage, unless it was started
    /// before. The worker of an earlier attempt of the job is killed.
    ///
    /// # Errors
    /// When it cannot be started.
    async fn launch(&self, start: &Start<'_>) -> Result<(), LaunchError>;

    /// What is known of the worker.
    fn status(&self, attempt: &Attempt) -> WorkerStatus;

    /// Makes the worker write a resume bundle and end.
    fn stop(&self, attempt: &Attempt);

    /// Time in which the worker of a cancelled job ends, before it is killed.
    fn stop_grace(&self) -> Duration;

    /// What becomes of the workers when the trainer shuts down.
    fn at_shutdown(&self) -> AtShutdown;

    /// Ends the worker at once.
    fn kill(&self, attempt: &Attempt);

    /// Removes what the launcher keeps of a worker that is not followed any more.
    fn forget(&self, attempt: &Attempt);
}

/// An attempt whose worker is to be started.
pub(super) struct Start<'a> {
    /// The worker's place in the trainer.
    pub(super) slot: &'a WorkerSlot,
    /// The attempt.
    pub(super) attempt: &'a Attempt,
    /// The device that the job's resolved spec names.
    pub(super) device: &'a str,
}

/// What is known of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WorkerStatus {
    /// There is none: it was not started, or was removed.
    Missing,
    /// It does not run yet.
    Waiting {
        /// What it waits for.
        cause: WaitCause,
        /// The same in words.
        reason: String,
    },
    /// It may still report something.
    Running,
    /// It reports nothing more.
    Ended(WorkerExit),
}

/// How a worker ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WorkerExit {
    /// Whether its place was taken from it.
    pub(super) evicted: bool,
    /// Its exit code, where it is known.
    pub(super) code: Option<u8>,
    /// What is known of the cause, such as "OOMKilled"; may be empty.
    pub(super) reason: String,
}

/// What becomes of the workers when the trainer shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtShutdown {
    /// They are stopped, and have this time for their resume bundles.
    Stop(Duration),
    /// They go on, and the next trainer follows them.
    Leave,
}
