//! Keeps a process that was replaced from writing to the rest of the storage.

use super::store::{Identity, Journal};
use crate::storage::{StorageError, WriteGuard};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio_util::sync::CancellationToken;

/// Checks before each write that no other process has claimed a newer epoch; cheap to clone.
///
/// A process can be stopped between this check and the write. What then appears late is what a
/// process leaves that crashes at this point, which the protocols of checkpoints and serving records
/// bear: a checkpoint that was not recorded as committed is promoted by nobody, and a serving record
/// is created at a number that the next trainer takes if it wrote first.
#[derive(Clone, Debug)]
pub struct Fence {
    journal: Journal,
    nonce: Arc<str>,
    /// The newest epoch of this process; 0 before it has one.
    epoch: Arc<AtomicU64>,
    lost: CancellationToken,
}

impl Fence {
    /// The fence of a process that holds no epoch yet: it may write nothing.
    #[must_use]
    pub fn new(journal: Journal, identity: &Identity) -> Self {
        Self {
            journal,
            nonce: identity.nonce.as_str().into(),
            epoch: Arc::default(),
            lost: CancellationToken::new(),
        }
    }

    /// From now on the process may write, as the holder of `epoch`.
    pub fn open(&self, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
    }

    /// Another process has taken over.
    pub fn set_lost(&self) {
        self.lost.cancel();
    }

    /// Ends once another process has taken over.
    #[must_use]
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

#[async_trait::async_trait]
impl WriteGuard for Fence {
    async fn check(&self, key: &str) -> Result<(), StorageError> {
        let fenced = || StorageError::Fenced {
            key: key.to_owned(),
            trainer: self.journal.name().to_string(),
        };
        let mut epoch = self.epoch.load(Ordering::Acquire);
        if epoch == 0 || self.lost.is_cancelled() {
            return Err(fenced());
        }
        while let Some(next) = self.journal.epoch(epoch + 1).await? {
            if *next.nonce != *self.nonce {
                self.lost.cancel();
                return Err(fenced());
            }
            // Begun by this process itself.
            epoch += 1;
            self.open(epoch);
        }
        Ok(())
    }
}
