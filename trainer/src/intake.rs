//! Takes a job in: from the spec that is asked for to a job that is durable. The same for clients
//! of the service and for a run of one job.
//!
//! Knows no gRPC; who asks makes an answer of [`Refused`].

use crate::{
    datasets::Catalog,
    metrics::Metrics,
    spec::{self, JobRequest, ResolvedJob, SpecError, Violation},
    store::{Job, NewJob, Store, StoreError, Submitted},
    wire::SpecMessage,
    worker::Wake,
};
use digits_checkpoint::{Storage, StorageError, manifest::Manifest};
use std::sync::Arc;

/// What taking a job in needs; cheap to clone.
#[derive(Clone)]
pub struct Intake {
    /// Jobs.
    pub store: Store,
    /// Checkpoints that a job may start from.
    pub storage: Storage,
    /// Data sets.
    pub catalog: Arc<Catalog>,
    /// Metrics.
    pub metrics: Metrics,
    /// Wakes the worker.
    pub wake: Wake,
    /// Jobs that may wait.
    pub queue_capacity: u64,
}

/// Why a job was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The request or its spec is wrong, by field.
    #[error("the job is refused for {} reasons", .0.len())]
    Invalid(Vec<Violation>),
    /// The queue is full, the request id is taken, or the database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint to start from could not be looked at.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The pushed data sets could not be looked at; the log has more.
    #[error("the storage of the pushed data sets cannot be read")]
    DataUnavailable,
    /// A bug; the log has more.
    #[error("an internal error; the trainer's log has more")]
    Internal,
}

impl From<SpecError> for Refused {
    fn from(error: SpecError) -> Self {
        match error {
            SpecError::Invalid(violations) => Self::Invalid(violations),
            SpecError::DataUnavailable => Self::DataUnavailable,
        }
    }
}

impl Intake {
    /// Takes a job in under `request_id`, once for one id; durable when it returns. `traceparent`
    /// is what its spans will be under, if anything.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn accept(
        &self,
        request_id: String,
        spec: SpecMessage,
        traceparent: Option<String>,
    ) -> Result<Job, Refused> {
        if !(1..=128).contains(&request_id.len())
            || !request_id.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        {
            return Err(invalid(
                "request_id",
                "must be 1 to 128 printable ASCII characters: a UUID is a good one",
            ));
        }
        let key = spec.key();
        // First, so that a request that was accepted before is answered alike after presets or
        // devices changed.
        let before = self.store.submitted_before(request_id.clone(), key.clone());
        if let Some(job) = before.await? {
            return Ok(job);
        }
        let request = spec.request();
        let parent = self.parent(&request).await?;
        let ResolvedJob {
            spec: resolved,
            plan,
        } = self.resolve(request, parent).await?;
        let new = NewJob {
            request_id,
            request_key: key,
            name: resolved.name.clone(),
            labels: resolved.labels.clone(),
            requested: spec.encode(),
            resolved: SpecMessage::from(&resolved).encode(),
            epochs: plan.train.epochs,
            steps: plan.steps,
            network: plan.network,
            parent: plan.parent,
            traceparent: traceparent.unwrap_or_default(),
        };
        match self.store.submit(new, self.queue_capacity).await? {
            Submitted::Before(job) => Ok(*job),
            Submitted::New(job) => {
                tracing::info!(job = %job.id, "job accepted");
                self.metrics.job_submitted();
                self.wake.wake();
                Ok(*job)
            }
        }
    }

    /// The manifest of the checkpoint that the spec starts from. One that is marked for deletion is
    /// none to start from: it may be gone before the job is written down.
    async fn parent(&self, request: &JobRequest) -> Result<Option<Manifest>, Refused> {
        let Some(id) = request.parent_id() else {
            return Ok(None);
        };
        match digits_checkpoint::live_manifest(&self.storage, id).await {
            Ok(found) => Ok(found),
            Err(StorageError::Tombstoned { .. }) => Err(invalid(
                "spec.init_from",
                "the checkpoint is marked for deletion: use another one",
            )),
            Err(StorageError::Unreadable { .. } | StorageError::TooLarge { .. }) => Err(invalid(
                "spec.init_from",
                "the checkpoint is not understood by this version: use another one",
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Looking for GPUs and for pushed data sets can take a moment.
    async fn resolve(
        &self,
        request: JobRequest,
        parent: Option<Manifest>,
    ) -> Result<ResolvedJob, Refused> {
        let catalog = Arc::clone(&self.catalog);
        let resolving = tokio::task::spawn_blocking(move || {
            Ok(spec::resolve(&request, &catalog, parent.as_ref())?)
        });
        resolving.await.unwrap_or_else(|error| {
            tracing::error!(%error, "resolving a spec panicked");
            Err(Refused::Internal)
        })
    }
}

fn invalid(field: &str, message: &str) -> Refused {
    Refused::Invalid(vec![Violation {
        field: field.to_owned(),
        message: message.to_owned(),
    }])
}
