//! Accepts jobs, for `SubmitJob` and for `digits-trainer run`: checks the request id, pins the data
//! set, resolves the spec and stores the job. The job is durable when it is accepted.

use crate::{
    blocking,
    datasets::Catalog,
    metrics::Metrics,
    spec::{self, JobRequest, ResolvedJob, SpecError, Violation},
    store::{Job, NewJob, Store, StoreError, Submitted},
    wire::SpecMessage,
    worker::Wake,
};
use digits_checkpoint::{Storage, StorageError, manifest::Manifest, serving::Policy};
use std::sync::Arc;

/// Longest request id, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Accepts jobs; cheap to clone.
#[derive(Clone)]
pub struct Submitter {
    /// The job database.
    pub store: Store,
    /// Checkpoints that a job may start from.
    pub storage: Storage,
    /// Data sets.
    pub catalog: Arc<Catalog>,
    /// Metrics of the trainer.
    pub metrics: Metrics,
    /// Wakes the workers.
    pub wake: Wake,
    /// Jobs that may wait in the queue.
    pub queue_capacity: u64,
    /// Of these, jobs of one client.
    pub client_quota: Option<u64>,
}

/// Who submits a job.
#[derive(Clone, Debug)]
pub struct SubmittingClient {
    /// Its name; empty where clients need not prove who they are.
    pub name: String,
    /// What its jobs may do.
    pub promotions: Promotions,
}

/// Whether the checkpoints of a job may be promoted by its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotions {
    /// By any policy.
    Allowed,
    /// Only by operators: the client may not change what serves.
    Denied,
}

/// Why a job was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The request or its spec is wrong, by field.
    #[error("the job is refused for {} reasons", .0.len())]
    Invalid(Vec<Violation>),
    /// The client may not change what serves, and the job would.
    #[error(
        "the job would promote its checkpoints, which needs the role promote: submit it with the promotion policy MANUAL"
    )]
    PromotionDenied,
    /// The queue is full, the request id is taken, or the database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint to start from could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The pushed data sets could not be read; the log has the cause.
    #[error("the storage of the pushed data sets cannot be read")]
    DatasetsUnavailable,
    /// A bug; the log has the cause.
    #[error("an internal error; see the trainer's log")]
    Internal,
}

impl From<SpecError> for SubmitError {
    fn from(error: SpecError) -> Self {
        match error {
            SpecError::Invalid(violations) => Self::Invalid(violations),
            SpecError::DataUnavailable => Self::DatasetsUnavailable,
        }
    }
}

impl Submitter {
    /// Accepts a job, once per `request_id`; it is durable when this returns. The spans of its
    /// attempts become children of `traceparent`, if there is one.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(
        &self,
        request_id: String,
        spec: SpecMessage,
        traceparent: Option<String>,
        client: SubmittingClient,
    ) -> Result<Job, SubmitError> {
        check_request_id(&request_id)?;
        // First, so that a repeated request gets its job even when presets or devices have changed.
        let existing = self.store.find_submission(&request_id, &spec).await?;
        if let Some(job) = existing {
            return Ok(job);
        }
        let request = spec.request();
        let parent = self.parent(&request).await?;
        let resolved = self.resolve(request, parent).await?;
        if client.promotions == Promotions::Denied && resolved.plan.promotion != Policy::Manual {
            return Err(SubmitError::PromotionDenied);
        }
        let new = NewJob {
            request_id,
            requested: spec,
            resolved,
            traceparent: traceparent.unwrap_or_default(),
            submitted_by: client.name,
            quota: self.client_quota,
        };
        let submitted = self.store.submit(new, self.queue_capacity).await;
        if let Err(StoreError::Quota(exceeded)) = &submitted {
            self.metrics.quota_exceeded(*exceeded);
        }
        match submitted? {
            Submitted::Existing(job) => Ok(*job),
            Submitted::New(job) => {
                tracing::info!(job = %job.id, "job accepted");
                self.metrics.job_submitted();
                self.wake.wake();
                Ok(*job)
            }
        }
    }

    /// Fills, checks and plans specs that start from the same checkpoint, or from none; nothing is
    /// stored.
    ///
    /// # Errors
    /// [`SubmitError`]; of everything that is wrong with the specs, the first `limit` that differ.
    pub async fn check(
        &self,
        specs: Vec<SpecMessage>,
        limit: usize,
    ) -> Result<Vec<ResolvedJob>, SubmitError> {
        let parent = match specs.first() {
            Some(first) => self.parent(&first.request()).await?,
            None => None,
        };
        let catalog = Arc::clone(&self.catalog);
        on_storage(move || {
            let mut found: Vec<Violation> = Vec::new();
            let mut resolved = Vec::with_capacity(specs.len());
            for spec in &specs {
                match spec::resolve(&spec.request(), &catalog, parent.as_ref()) {
                    Ok(job) => resolved.push(job),
                    Err(SpecError::Invalid(more)) => {
                        for violation in more {
                            if found.len() < limit && !found.contains(&violation) {
                                found.push(violation);
                            }
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            if found.is_empty() {
                Ok(resolved)
            } else {
                Err(SubmitError::Invalid(found))
            }
        })
        .await
    }

    /// How many jobs this client may put into the queue now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn room(&self, client: &str) -> Result<u64, StoreError> {
        let (capacity, quota) = (self.queue_capacity, self.client_quota);
        self.store
            .queue_room(client.to_owned(), capacity, quota)
            .await
    }

    /// The manifest of the checkpoint that the spec starts from. A checkpoint that is marked for
    /// deletion is refused: it may be gone before the job is stored.
    async fn parent(&self, request: &JobRequest) -> Result<Option<Manifest>, SubmitError> {
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
                "the checkpoint cannot be read by this version: use another one",
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// On a blocking thread: looking for GPUs and for pushed data sets can take a moment.
    async fn resolve(
        &self,
        request: JobRequest,
        parent: Option<Manifest>,
    ) -> Result<ResolvedJob, SubmitError> {
        let catalog = Arc::clone(&self.catalog);
        on_storage(move || Ok(spec::resolve(&request, &catalog, parent.as_ref())?)).await
    }
}

/// Runs `work` on a blocking thread; its panic is a bug.
async fn on_storage<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SubmitError> + Send + 'static,
) -> Result<T, SubmitError> {
    blocking::on_storage(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "resolving a spec panicked");
        Err(SubmitError::Internal)
    })
}

/// Checks a key of idempotency.
///
/// # Errors
/// [`SubmitError::Invalid`].
pub(crate) fn check_request_id(request_id: &str) -> Result<(), SubmitError> {
    let printable = request_id.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if printable && (1..=MAX_REQUEST_ID_BYTES).contains(&request_id.len()) {
        return Ok(());
    }
    Err(invalid(
        "request_id",
        "must be 1 to 128 printable ASCII characters, such as a UUID",
    ))
}

fn invalid(field: &str, message: &str) -> SubmitError {
    SubmitError::Invalid(vec![Violation {
        field: field.to_owned(),
        message: message.to_owned(),
    }])
}
