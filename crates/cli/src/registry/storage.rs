//! Checkpoints and serving records on the storage itself, by the same protocol as the trainer's.

use crate::{error::Error, rpc_error::words};
use digits_checkpoint::{
    Keys, Storage,
    id::{CheckpointId, InvalidId, ModelName},
    list_checkpoints, manifest,
    manifest::Manifest,
    messages,
    record::Role,
    serving::{self, AppendError, Candidate},
    unfinished::{self, Unfinished},
};
use digits_proto::v1::{
    Checkpoint, DropCandidatesRequest, ListCheckpointsRequest, PromoteRequest, ReleaseRequest,
    RollbackRequest, ServingRecord, ServingRole,
};
use std::collections::HashMap;

/// A storage.
pub struct StorageRegistry {
    storage: Storage,
}

fn usage(error: InvalidId) -> Error {
    Error::Usage(error.to_string())
}

fn model(text: &str) -> Result<ModelName, Error> {
    text.parse().map_err(usage)
}

fn checkpoint_id(text: &str) -> Result<CheckpointId, Error> {
    text.parse().map_err(usage)
}

/// Default author of a change to what is served, as in the trainer.
fn by(text: &str) -> &str {
    if text.is_empty() { "an operator" } else { text }
}

/// Signs what the storage at `url` serves; `None` if it is signed already.
///
/// # Errors
/// Those of the storage; [`Error::Negative`] when nothing is served, or when a record without a
/// signature follows on a signed one.
pub async fn sign(
    url: &str,
    keys: Keys,
    name: &str,
    author: &str,
) -> Result<Option<ServingRecord>, Error> {
    let registry = StorageRegistry::open(url)?.with_keys(keys);
    let storage = registry.writable().await?;
    let signed = serving::sign(storage, &model(name)?, by(author)).await;
    signed.transpose().map(appended).transpose()
}

fn appended(
    outcome: Result<digits_checkpoint::record::ServingRecord, AppendError>,
) -> Result<ServingRecord, Error> {
    match outcome {
        Ok(record) => Ok(messages::serving_record(&record)),
        Err(AppendError::Storage(error)) => Err(error.into()),
        Err(AppendError::Lost { head }) => Err(Error::Negative(format!(
            "--expected-sequence is not the newest record, which is {}: check `digits serving` and retry",
            head.sequence
        ))),
        Err(AppendError::Refused(refused)) => {
            Err(Error::Negative(words::message(&refused.to_string())))
        }
    }
}

/// A checkpoint, marked if its job did not get to its end.
fn message(manifest: &Manifest, marks: &HashMap<String, Unfinished>) -> Checkpoint {
    let mut message = messages::checkpoint(manifest);
    let job = manifest.lineage.job.as_ref();
    if let Some(&how) = job.and_then(|job| marks.get(job)) {
        message.job_state = messages::unfinished(how).into();
    }
    message
}

impl StorageRegistry {
    pub(super) fn open(url: &str) -> Result<Self, Error> {
        Ok(Self {
            storage: Storage::open_existing(url)?,
        })
    }

    pub(super) fn with_keys(self, keys: Keys) -> Self {
        Self {
            storage: self.storage.with_keys(keys),
        }
    }

    pub(super) async fn checkpoints(
        &self,
        request: ListCheckpointsRequest,
        limit: usize,
    ) -> Result<Vec<Checkpoint>, Error> {
        let mut all = list_checkpoints(&self.storage).await?;
        all.retain(|manifest| {
            (request.model.is_empty() || manifest.model.as_str() == request.model)
                && (request.job_id.is_empty()
                    || manifest.lineage.job.as_deref() == Some(&request.job_id))
        });
        let marks = unfinished::list(&self.storage).await?;
        let found = all.iter().take(limit);
        Ok(found.map(|it| message(it, &marks)).collect())
    }

    pub(super) async fn checkpoint(&self, id: &str) -> Result<Checkpoint, Error> {
        match manifest(&self.storage, checkpoint_id(id)?).await? {
            Some(manifest) => Ok(message(&manifest, &unfinished::list(&self.storage).await?)),
            None => Err(Error::Negative(format!(
                "there is no committed checkpoint {id}"
            ))),
        }
    }

    pub(super) async fn serving_records(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Vec<ServingRecord>, Error> {
        let model = model(name)?;
        let mut records = Vec::new();
        for sequence in serving::list(&self.storage, &model)
            .await?
            .into_iter()
            .rev()
        {
            if records.len() == limit {
                break;
            }
            records.extend(messages::listed_record(&self.storage, &model, sequence).await?);
        }
        Ok(records)
    }

    pub(super) async fn promote(&self, request: PromoteRequest) -> Result<ServingRecord, Error> {
        let role = match request.role() {
            ServingRole::Unspecified | ServingRole::Primary => Role::Primary,
            ServingRole::Canary => Role::Canary,
            ServingRole::Shadow => Role::Shadow,
        };
        let candidate = Candidate {
            checkpoint: checkpoint_id(&request.checkpoint_id)?,
            role,
            share: request.share,
        };
        let (model, expected) = (model(&request.model)?, request.expected_sequence);
        let storage = self.writable().await?;
        appended(serving::promote(storage, &model, expected, candidate, by(&request.by)).await)
    }

    pub(super) async fn drop_candidates(
        &self,
        request: DropCandidatesRequest,
    ) -> Result<ServingRecord, Error> {
        let (model, expected) = (model(&request.model)?, request.expected_sequence);
        let storage = self.writable().await?;
        appended(serving::drop_candidates(storage, &model, expected, by(&request.by)).await)
    }

    pub(super) async fn rollback(&self, request: RollbackRequest) -> Result<ServingRecord, Error> {
        let (model, expected) = (model(&request.model)?, request.expected_sequence);
        let (storage, to) = (self.writable().await?, request.to_sequence);
        appended(serving::rollback(storage, &model, expected, to, by(&request.by)).await)
    }

    pub(super) async fn release(&self, request: ReleaseRequest) -> Result<ServingRecord, Error> {
        let (model, expected) = (model(&request.model)?, request.expected_sequence);
        let storage = self.writable().await?;
        appended(serving::release(storage, &model, expected, by(&request.by)).await)
    }

    /// The storage, once it has been seen to refuse to overwrite a key.
    async fn writable(&self) -> Result<&Storage, Error> {
        self.storage.probe().await?;
        Ok(&self.storage)
    }
}
