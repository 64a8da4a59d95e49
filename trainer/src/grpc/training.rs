//! TrainingService: takes jobs, tells of them, cancels them.

use super::{
    dataset_messages::dataset,
    errors::{invalid, invalid_field, storage_unavailable, store as store_status},
    page,
    watch::{self, WatchStream},
};
use crate::{
    datasets::{Catalog, NotFound},
    job::{JobId, JobState},
    metrics::Metrics,
    spec::{self, Resolved},
    store::{Job, JobFilter, NewJob, Store, Submitted},
    wire,
    worker::{Bundles, Registry, Stop, Wake},
};
use digits_proto::v1::{
    self, CancelJobRequest, CancelJobResponse, GetHistoryRequest, GetHistoryResponse,
    GetJobRequest, GetJobResponse, ListDatasetsRequest, ListDatasetsResponse, ListJobsRequest,
    ListJobsResponse, ListPresetsRequest, ListPresetsResponse, SubmitJobRequest, SubmitJobResponse,
    WatchJobRequest, training_service_server::TrainingService,
};
use prost::Message as _;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

const ROWS_DEFAULT: u32 = 1_000;
const ROWS_AT_MOST: u32 = 10_000;

/// What the service works with.
#[derive(Clone)]
pub struct TrainingContext {
    /// Jobs.
    pub store: Store,
    /// Data sets.
    pub catalog: Arc<Catalog>,
    /// Jobs that run.
    pub registry: Arc<Registry>,
    /// Resume bundles.
    pub bundles: Arc<Bundles>,
    /// Wakes the workers.
    pub wake: Wake,
    /// Metrics.
    pub metrics: Metrics,
    /// Jobs that may wait.
    pub queue_capacity: u64,
    /// Ends watches.
    pub shutdown: CancellationToken,
}

/// The service.
pub struct Training(pub TrainingContext);

impl Training {
    async fn submit(&self, request: SubmitJobRequest) -> Result<Job, Status> {
        let context = &self.0;
        let id = request.request_id;
        if !(1..=128).contains(&id.len()) || !id.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(invalid_field(
                "request_id",
                "must be 1 to 128 printable ASCII characters: a UUID is a good one",
            ));
        }
        let spec = request.spec.unwrap_or_default();
        let key = spec::request_key(&spec);
        // First, so that a request that was accepted before is answered alike after presets or devices changed.
        let before = context.store.submitted_before(id.clone(), key.clone());
        if let Some(job) = before.await.map_err(|error| store_status(error, ""))? {
            return Ok(job);
        }
        let resolved = self.resolve(spec.clone()).await?;
        let new = NewJob {
            request_id: id,
            request_key: key,
            name: spec.name.clone(),
            labels: spec.labels.clone().into_iter().collect(),
            requested: spec.encode_to_vec(),
            resolved: resolved.spec.encode_to_vec(),
            epochs: resolved.job.train.epochs,
            steps: resolved.job.steps,
            network: resolved.job.network,
        };
        let submitted = context
            .store
            .submit(new, context.queue_capacity)
            .await
            .map_err(|error| store_status(error, ""))?;
        match submitted {
            Submitted::Before(job) => Ok(*job),
            Submitted::New(job) => {
                tracing::info!(job = %job.id, "job accepted");
                context.metrics.job_submitted();
                context.wake.wake();
                Ok(*job)
            }
        }
    }

    /// Looking for GPUs and for pushed data sets can take a moment.
    async fn resolve(&self, mut spec: v1::JobSpec) -> Result<Resolved, Status> {
        let catalog = Arc::clone(&self.0.catalog);
        blocking(move || {
            // First, because a storage that fails is no fault of the spec. What cannot be meant is told with
            // everything else that is wrong.
            let name = spec.data.as_mut().and_then(|data| data.dataset.as_mut());
            if let Some(name) = name {
                match catalog.pin(name) {
                    Ok(Some(pinned)) => *name = pinned.to_string(),
                    Err(NotFound::Unavailable) => return Err(storage_unavailable()),
                    Ok(None) | Err(NotFound::Refused(_)) => {}
                }
            }
            spec::resolve(&spec, &catalog).map_err(invalid)
        })
        .await
    }

    /// A job that waited to go on and has ended leaves its bundle behind.
    async fn remove_bundle(&self, job: JobId) {
        let bundles = Arc::clone(&self.0.bundles);
        // What stays is swept at the next start.
        let _ = tokio::task::spawn_blocking(move || bundles.remove(job)).await;
    }

    fn message(&self, job: &Job) -> v1::Job {
        let running = self.0.registry.get(job.id);
        let step = running.map_or(job.step, |running| running.step().max(job.step));
        v1::Job {
            job_id: job.id.to_string(),
            request_id: job.request_id.clone(),
            // Written by this program; a spec of a version that cannot be read is left out.
            requested: v1::JobSpec::decode(job.requested.as_slice()).ok(),
            resolved: v1::JobSpec::decode(job.resolved.as_slice()).ok(),
            state: wire::state(job.state).into(),
            created_at: Some(wire::timestamp(job.created_us)),
            started_at: job.started_us.map(wire::timestamp),
            finished_at: job.finished_us.map(wire::timestamp),
            error: job.error.clone(),
            progress: Some(v1::JobProgress {
                epoch: epoch(job, step),
                epochs: job.epochs,
                step,
                steps: job.steps,
                latest: job.latest.as_ref().map(wire::row),
                train_seconds: job.train_seconds,
                validation_seconds: job.validation_seconds,
            }),
            network: Some(wire::network(&job.network)),
            device: job.device.clone(),
            checkpoint_ids: job.checkpoint_ids.clone(),
            test: job.test.as_ref().map(wire::evaluation),
            cancel_requested: job.cancel_requested,
            last_event_sequence: job.last_event,
            attempts: job.attempts,
            dataset_digest: job.dataset_digest.clone(),
        }
    }
}

/// Runs what blocks beside the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "answering a request panicked");
            Err(Status::internal(
                "an internal error; the trainer's log has more",
            ))
        })
}

/// The epoch that `step` lies in.
fn epoch(job: &Job, step: u64) -> u32 {
    let per_epoch = job.steps / u64::from(job.epochs.max(1));
    if step == 0 || per_epoch == 0 {
        return job.epoch;
    }
    u32::try_from(step.div_ceil(per_epoch)).map_or(job.epochs, |epoch| epoch.min(job.epochs))
}

fn job_id(text: &str) -> Result<JobId, Status> {
    text.parse()
        .map_err(|error: crate::job::InvalidJobId| invalid_field("job_id", error.to_string()))
}

fn filter(request: ListJobsRequest) -> Result<JobFilter, Status> {
    let states = request
        .states
        .iter()
        .map(|&number| {
            JobState::from_number(number).ok_or_else(|| {
                invalid_field(
                    "states",
                    "must be QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED",
                )
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if request.labels.len() > 32 {
        return Err(invalid_field("labels", "must be at most 32"));
    }
    Ok(JobFilter {
        states,
        name: request.name,
        labels: request.labels.into_iter().collect(),
        before: page::key("jobs", &request.page_token)?,
        limit: page::size(request.page_size)?,
    })
}

#[tonic::async_trait]
impl TrainingService for Training {
    async fn submit_job(
        &self,
        request: Request<SubmitJobRequest>,
    ) -> Result<Response<SubmitJobResponse>, Status> {
        let job = self.submit(request.into_inner()).await?;
        Ok(Response::new(SubmitJobResponse {
            job: Some(self.message(&job)),
        }))
    }

    async fn get_job(
        &self,
        request: Request<GetJobRequest>,
    ) -> Result<Response<GetJobResponse>, Status> {
        let id = request.into_inner().job_id;
        let job = self.0.store.job(job_id(&id)?).await;
        let job = job.map_err(|error| store_status(error, &id))?;
        Ok(Response::new(GetJobResponse {
            job: Some(self.message(&job)),
        }))
    }

    async fn list_jobs(
        &self,
        request: Request<ListJobsRequest>,
    ) -> Result<Response<ListJobsResponse>, Status> {
        let mut filter = filter(request.into_inner())?;
        let limit = filter.limit as usize;
        // One more tells whether there is another page.
        filter.limit += 1;
        let jobs = self.0.store.jobs(filter).await;
        let mut jobs = jobs.map_err(|error| store_status(error, ""))?;
        let more = jobs.len() > limit;
        jobs.truncate(limit);
        let next_page_token = match jobs.last() {
            Some(last) if more => page::token("jobs", &last.number.to_string()),
            _ => String::new(),
        };
        Ok(Response::new(ListJobsResponse {
            jobs: jobs.iter().map(|job| self.message(job)).collect(),
            next_page_token,
        }))
    }

    async fn cancel_job(
        &self,
        request: Request<CancelJobRequest>,
    ) -> Result<Response<CancelJobResponse>, Status> {
        let id = request.into_inner().job_id;
        let parsed = job_id(&id)?;
        let job = self.0.store.cancel(parsed).await;
        let job = job.map_err(|error| store_status(error, &id))?;
        // Marked in the database first: a job that begins just now sees the mark, one that runs sees the flag.
        match self.0.registry.get(parsed) {
            Some(running) => running.stop(Stop::Cancel),
            None if job.state.is_end() => self.remove_bundle(parsed).await,
            None => {}
        }
        Ok(Response::new(CancelJobResponse {
            job: Some(self.message(&job)),
        }))
    }

    type WatchJobStream = WatchStream;

    async fn watch_job(
        &self,
        request: Request<WatchJobRequest>,
    ) -> Result<Response<WatchStream>, Status> {
        let WatchJobRequest {
            job_id: id,
            after_sequence,
        } = request.into_inner();
        let parsed = job_id(&id)?;
        let job = self.0.store.job(parsed).await;
        let job = job.map_err(|error| store_status(error, &id))?;
        if after_sequence > job.last_event {
            return Err(Status::out_of_range(format!(
                "after_sequence {after_sequence} is beyond the newest event, {}",
                job.last_event
            )));
        }
        let context = &self.0;
        Ok(Response::new(watch::events(
            context.store.clone(),
            parsed,
            after_sequence,
            context.shutdown.clone(),
        )))
    }

    async fn get_history(
        &self,
        request: Request<GetHistoryRequest>,
    ) -> Result<Response<GetHistoryResponse>, Status> {
        let request = request.into_inner();
        let max_rows = match request.max_rows {
            0 => ROWS_DEFAULT,
            rows @ 2..=ROWS_AT_MOST => rows,
            rows => {
                return Err(invalid_field(
                    "max_rows",
                    format!("must be from 2 to {ROWS_AT_MOST}, not {rows}"),
                ));
            }
        };
        let id = job_id(&request.job_id)?;
        let history = self.0.store.history(id, max_rows.into()).await;
        let history = history.map_err(|error| store_status(error, &request.job_id))?;
        Ok(Response::new(GetHistoryResponse {
            rows: history.rows.iter().map(wire::row).collect(),
            total_rows: history.total,
        }))
    }

    async fn list_presets(
        &self,
        _: Request<ListPresetsRequest>,
    ) -> Result<Response<ListPresetsResponse>, Status> {
        let presets = spec::presets()
            .into_iter()
            .map(|preset| v1::Preset {
                name: preset.name.to_owned(),
                description: preset.description.to_owned(),
                spec: Some(preset.spec),
            })
            .collect();
        Ok(Response::new(ListPresetsResponse { presets }))
    }

    async fn list_datasets(
        &self,
        _: Request<ListDatasetsRequest>,
    ) -> Result<Response<ListDatasetsResponse>, Status> {
        let catalog = Arc::clone(&self.0.catalog);
        let listed = blocking(move || {
            catalog.list().map_err(|error| {
                tracing::warn!(%error, "pushed data sets cannot be listed");
                storage_unavailable()
            })
        })
        .await?;
        let datasets = listed.into_iter().map(dataset).collect();
        Ok(Response::new(ListDatasetsResponse { datasets }))
    }
}
