//! Liveness of the process, as reported by `/livez`: the orchestrator restarts a process that fails
//! it.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// The liveness of this process; clones share it. It starts as live, and a failure is final: what
/// makes a task fail repeatedly is repaired by a restart of the process or not at all.
#[derive(Debug, Clone, Default)]
pub struct Liveness {
    failure: Arc<OnceLock<String>>,
    unable: CancellationToken,
}

impl Liveness {
    /// Fails `/livez` from now on with `reason`, which is shown in the response. Only the first
    /// reason is kept. Returns whether the process was live before.
    pub fn fail(&self, reason: impl Into<String>) -> bool {
        self.failure.set(reason.into()).is_ok()
    }

    /// As [`fail`](Self::fail), where the process cannot answer requests any more: `/readyz` fails
    /// too.
    pub fn fail_unable(&self, reason: impl Into<String>) -> bool {
        let was_live = self.fail(reason);
        self.unable.cancel();
        was_live
    }

    /// Cancelled once the process cannot answer requests any more.
    #[must_use]
    pub fn unable(&self) -> &CancellationToken {
        &self.unable
    }

    /// `Ok` while live.
    ///
    /// # Errors
    /// The reason of the failure.
    pub fn check(&self) -> Result<(), &str> {
        match self.failure.get() {
            None => Ok(()),
            Some(reason) => Err(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_final_and_the_first_reason_stays() {
        let liveness = Liveness::default();
        let other = liveness.clone();
        assert_eq!(other.check(), Ok(()));
        assert!(liveness.fail("first"));
        assert!(!other.fail("second"));
        assert_eq!(liveness.check(), Err("first"));
        assert_eq!(other.check(), Err("first"));
        assert!(!other.unable().is_cancelled());
        assert!(!liveness.fail_unable("third"));
        assert!(other.unable().is_cancelled());
    }
}
