//! Checkpoints and serving records: through the trainer, or on the storage itself with the same
//! results.

mod storage;

use crate::{endpoints::Endpoints, error::Error};
use digits_checkpoint::Keys;
use digits_client::TrainerClient;
use digits_proto::v1::{
    Checkpoint, DropCandidatesRequest, ListCheckpointsRequest, PromoteRequest, ReleaseRequest,
    RollbackRequest, ServingRecord,
};
use storage::StorageRegistry;
pub use storage::sign;

/// Checkpoints and serving records.
pub enum Registry {
    /// Through the trainer.
    Trainer(TrainerClient),
    /// On the storage, without a trainer.
    Storage(StorageRegistry),
}

/// Calls the same method of whichever it is.
macro_rules! dispatch {
    ($registry:expr, $method:ident($($argument:expr),*)) => {
        match $registry {
            Registry::Trainer(trainer) => Ok(trainer.$method($($argument),*).await?),
            Registry::Storage(storage) => storage.$method($($argument),*).await,
        }
    };
}

impl Registry {
    /// The storage at `url`, or the trainer where there is no `url`.
    ///
    /// # Errors
    /// [`Error::Client`] for a bad URL of the trainer; [`Error::Storage`] where there is no such
    /// storage.
    pub fn open(endpoints: &Endpoints, url: Option<&str>) -> Result<Self, Error> {
        Ok(match url {
            Some(url) => Self::Storage(StorageRegistry::open(url)?),
            None => Self::Trainer(endpoints.trainer()?),
        })
    }

    /// Signs changes of a storage with these keys, and trusts only what they signed.
    #[must_use]
    pub fn with_keys(self, keys: Option<Keys>) -> Self {
        match (self, keys) {
            (Self::Storage(storage), Some(keys)) => Self::Storage(storage.with_keys(keys)),
            (registry, _) => registry,
        }
    }

    /// The newest checkpoints that match, at most `limit`.
    ///
    /// # Errors
    /// Those of trainer or storage.
    pub async fn checkpoints(
        &self,
        filter: ListCheckpointsRequest,
        limit: usize,
    ) -> Result<Vec<Checkpoint>, Error> {
        dispatch!(self, checkpoints(filter, limit))
    }

    /// One checkpoint.
    ///
    /// # Errors
    /// Those of trainer or storage; also when there is none of this id.
    pub async fn checkpoint(&self, id: &str) -> Result<Checkpoint, Error> {
        dispatch!(self, checkpoint(id))
    }

    /// The newest records, at most `limit`.
    ///
    /// # Errors
    /// Those of trainer or storage.
    pub async fn serving_records(
        &self,
        model: &str,
        limit: usize,
    ) -> Result<Vec<ServingRecord>, Error> {
        dispatch!(self, serving_records(model, limit))
    }

    /// Serves a checkpoint; returns the new record.
    ///
    /// # Errors
    /// Those of trainer or storage; also when it is refused.
    pub async fn promote(&self, request: PromoteRequest) -> Result<ServingRecord, Error> {
        dispatch!(self, promote(request))
    }

    /// Ends canary and shadow; returns the new record.
    ///
    /// # Errors
    /// As [`Self::promote`].
    pub async fn drop_candidates(
        &self,
        request: DropCandidatesRequest,
    ) -> Result<ServingRecord, Error> {
        dispatch!(self, drop_candidates(request))
    }

    /// Serves what an earlier record named; returns the new record.
    ///
    /// # Errors
    /// As [`Self::promote`].
    pub async fn rollback(&self, request: RollbackRequest) -> Result<ServingRecord, Error> {
        dispatch!(self, rollback(request))
    }

    /// Lifts a hold; returns the new record.
    ///
    /// # Errors
    /// As [`Self::promote`].
    pub async fn release(&self, request: ReleaseRequest) -> Result<ServingRecord, Error> {
        dispatch!(self, release(request))
    }
}
