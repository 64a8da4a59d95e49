//! Checkpoints and serving records: asked of the trainer, or looked at on the storage itself, with the same answers.

mod storage;
mod trainer;

use crate::{client::Endpoints, error::Error};
use digits_proto::v1::{
    Checkpoint, DropCandidatesRequest, ListCheckpointsRequest, PromoteRequest, ReleaseRequest,
    RollbackRequest, ServingRecord,
};
use storage::OnStorage;
use trainer::ByTrainer;

/// What knows checkpoints and serving records.
pub enum Registry {
    /// The trainer.
    Trainer(ByTrainer),
    /// The storage, with no trainer between.
    Storage(OnStorage),
}

/// Calls the same function of whichever it is.
macro_rules! ask {
    ($registry:expr, $call:ident($($argument:expr),*)) => {
        match $registry {
            Registry::Trainer(trainer) => trainer.$call($($argument),*).await,
            Registry::Storage(storage) => storage.$call($($argument),*).await,
        }
    };
}

impl Registry {
    /// The storage at `url`, or the trainer where none is given.
    ///
    /// # Errors
    /// [`Error::Url`]; [`Error::Storage`] where there is no such storage.
    pub fn open(endpoints: &Endpoints, url: Option<&str>) -> Result<Self, Error> {
        Ok(match url {
            Some(url) => Self::Storage(OnStorage::open(url)?),
            None => Self::Trainer(ByTrainer::new(endpoints.checkpoints()?)),
        })
    }

    /// The newest checkpoints, at most `limit`, of the request's model and job where it names them.
    ///
    /// # Errors
    /// What trainer or storage say.
    pub async fn checkpoints(
        &self,
        request: ListCheckpointsRequest,
        limit: usize,
    ) -> Result<Vec<Checkpoint>, Error> {
        ask!(self, checkpoints(request, limit))
    }

    /// One checkpoint.
    ///
    /// # Errors
    /// What trainer or storage say; there may be none.
    pub async fn checkpoint(&self, id: String) -> Result<Checkpoint, Error> {
        ask!(self, checkpoint(id))
    }

    /// The newest records, at most `limit`.
    ///
    /// # Errors
    /// What trainer or storage say.
    pub async fn records(&self, model: &str, limit: usize) -> Result<Vec<ServingRecord>, Error> {
        ask!(self, records(model, limit))
    }

    /// Sequence of the newest record; 0 for none.
    ///
    /// # Errors
    /// What trainer or storage say.
    pub async fn newest(&self, model: &str) -> Result<u64, Error> {
        ask!(self, newest(model))
    }

    /// Lets a checkpoint serve.
    ///
    /// # Errors
    /// What trainer or storage say; the answer may be no.
    pub async fn promote(&self, request: PromoteRequest) -> Result<ServingRecord, Error> {
        ask!(self, promote(request))
    }

    /// Ends canary and shadow.
    ///
    /// # Errors
    /// What trainer or storage say; the answer may be no.
    pub async fn drop_candidates(
        &self,
        request: DropCandidatesRequest,
    ) -> Result<ServingRecord, Error> {
        ask!(self, drop_candidates(request))
    }

    /// Serves an earlier record again.
    ///
    /// # Errors
    /// What trainer or storage say; the answer may be no.
    pub async fn rollback(&self, request: RollbackRequest) -> Result<ServingRecord, Error> {
        ask!(self, rollback(request))
    }

    /// Lifts a hold.
    ///
    /// # Errors
    /// What trainer or storage say; the answer may be no.
    pub async fn release(&self, request: ReleaseRequest) -> Result<ServingRecord, Error> {
        ask!(self, release(request))
    }
}
