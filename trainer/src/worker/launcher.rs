//! The interface of the launchers, which start and stop the workers of attempts.

use super::slot::WorkerSlot;
use digits_checkpoint::runs::Attempt;
use std::{io, time::Duration};

/// Starts and stops workers, which train one attempt each, outside this process.
pub(super) trait Launcher: Send + Sync {
    /// Starts the worker of an attempt, whose record is on the storage. The worker of an earlier
    /// attempt of the job is killed.
    ///
    /// # Errors
    /// When it cannot be started.
    fn launch(&self, slot: &WorkerSlot, attempt: &Attempt) -> io::Result<()>;

    /// Whether the worker may still report something.
    fn is_alive(&self, attempt: &Attempt) -> bool;

    /// The exit code of a worker that has ended, where it is known.
    fn exit_code(&self, attempt: &Attempt) -> Option<u8>;

    /// Makes the worker write a resume bundle and end.
    fn stop(&self, attempt: &Attempt);

    /// Time that a worker has for that while the trainer shuts down.
    fn shutdown_grace(&self) -> Duration;

    /// Ends the worker at once.
    fn kill(&self, attempt: &Attempt);

    /// Removes what the launcher keeps of a worker that is not followed any more.
    fn forget(&self, attempt: &Attempt);
}
