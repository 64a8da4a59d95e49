//! TrainingService: accepts, lists, watches and cancels jobs.

use super::{
    dataset_messages::dataset,
    errors::{
        internal, invalid_field, storage_unavailable, store as store_status,
        submit as submit_status,
    },
    job_message::job_message,
    page::{self, Page},
    permissions::submitting_client,
    watch::{self, WatchStream},
};
use crate::{
    blocking::on_storage,
    cancellation::Canceller,
    datasets::Position,
    job::{JobId, JobState},
    spec,
    store::{Job, JobFilter, Store},
    submission::Submitter,
    wire::{self, SpecMessage},
    worker::RunningJobs,
};
use digits_proto::v1::{
    self, CancelJobRequest, CancelJobResponse, GetHistoryRequest, GetHistoryResponse,
    GetJobRequest, GetJobResponse, ListDatasetsRequest, ListDatasetsResponse, ListJobsRequest,
    ListJobsResponse, ListPresetsRequest, ListPresetsResponse, SubmitJobRequest, SubmitJobResponse,
    WatchJobRequest,
    training_service_server::{TrainingService, TrainingServiceServer},
};
use digits_server::RequestContext;
use digits_telemetry::traces;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

const DEFAULT_ROWS: u32 = 1_000;
const MAX_ROWS: u32 = 10_000;
/// Jobs that are read at once, because a page may end early.
const MAX_READ_JOBS: u32 = 100;

/// Shared state of the service.
#[derive(Clone)]
pub struct TrainingContext {
    /// Accepts jobs.
    pub submitter: Submitter,
    /// Cancels them.
    pub canceller: Canceller,
    /// Jobs that run.
    pub running: Arc<RunningJobs>,
    /// Ends the streams of WatchJob.
    pub shutdown: CancellationToken,
}

/// The service.
pub struct Training(pub TrainingContext);

impl Training {
    /// The tonic service; larger requests than `max_message_bytes` are refused.
    #[must_use]
    pub fn into_server(self, max_message_bytes: usize) -> TrainingServiceServer<Self> {
        digits_server::compressed!(TrainingServiceServer::new(self))
            .max_decoding_message_size(max_message_bytes)
    }

    fn store(&self) -> &Store {
        &self.0.submitter.store
    }

    fn message(&self, job: &Job) -> v1::Job {
        let running = self.0.running.get(job.id);
        let step = running
            .as_ref()
            .map_or(job.step, |running| running.step().max(job.step));
        let publishing = running.and_then(|running| running.publishing());
        job_message(job, step, publishing.as_ref())
    }
}

/// Runs `work`, which waits for the storage.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    on_storage(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request handler panicked");
        Err(internal())
    })
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
        let traceparent = traces::traceparent(request.metadata().as_ref());
        let context = RequestContext::of(request.extensions());
        let SubmitJobRequest { request_id, spec } = request.into_inner();
        let spec = spec.unwrap_or_default();
        let submitter = &self.0.submitter;
        let client = submitting_client(&context);
        let accepted = submitter.submit(request_id, spec.into(), traceparent, client);
        let job = accepted.await.map_err(submit_status)?;
        context.audit("job_id", job.id.to_string());
        Ok(Response::new(SubmitJobResponse {
            job: Some(self.message(&job)),
        }))
    }

    async fn get_job(
        &self,
        request: Request<GetJobRequest>,
    ) -> Result<Response<GetJobResponse>, Status> {
        let id = request.into_inner().job_id;
        let job = self.store().job(job_id(&id)?).await;
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
        let mut page = Page::new(filter.limit);
        let is_last = loop {
            // One more shows whether there is another page.
            filter.limit = (page.room() as u32 + 1).min(MAX_READ_JOBS);
            let jobs = self.store().jobs(filter.clone()).await;
            let jobs = jobs.map_err(|error| store_status(error, ""))?;
            let fitting = jobs.iter().take_while(|job| page.push(self.message(job)));
            let Some(last) = fitting.last() else {
                break jobs.is_empty();
            };
            filter.before = Some(last.number);
            if jobs.last().map(|job| job.number) != filter.before {
                break false;
            }
        };
        let next_page_token = match filter.before {
            Some(last) if !is_last => page::token("jobs", &last.to_string()),
            _ => String::new(),
        };
        Ok(Response::new(ListJobsResponse {
            jobs: page.items,
            next_page_token,
        }))
    }

    async fn cancel_job(
        &self,
        request: Request<CancelJobRequest>,
    ) -> Result<Response<CancelJobResponse>, Status> {
        let context = RequestContext::of(request.extensions());
        let id = request.into_inner().job_id;
        let parsed = job_id(&id)?;
        context.audit("job_id", &id);
        let job = self.0.canceller.cancel(parsed).await;
        let job = job.map_err(|error| store_status(error, &id))?;
        Ok(Response::new(CancelJobResponse {
            job: Some(self.message(&job)),
        }))
    }

    type WatchJobStream = WatchStream;

    async fn watch_job(
        &self,
        request: Request<WatchJobRequest>,
    ) -> Result<Response<WatchStream>, Status> {
        let end = RequestContext::of(request.extensions()).end_of_streams(&self.0.shutdown);
        let WatchJobRequest {
            job_id: id,
            after_sequence,
        } = request.into_inner();
        let parsed = job_id(&id)?;
        let job = self.store().job(parsed).await;
        let job = job.map_err(|error| store_status(error, &id))?;
        if after_sequence > job.last_event {
            return Err(Status::out_of_range(format!(
                "after_sequence {after_sequence} is beyond the newest event, {}",
                job.last_event
            )));
        }
        Ok(Response::new(watch::events(
            self.store().clone(),
            parsed,
            after_sequence,
            end,
        )))
    }

    async fn get_history(
        &self,
        request: Request<GetHistoryRequest>,
    ) -> Result<Response<GetHistoryResponse>, Status> {
        let request = request.into_inner();
        let max_rows = match request.max_rows {
            0 => DEFAULT_ROWS,
            rows @ 2..=MAX_ROWS => rows,
            rows => {
                return Err(invalid_field(
                    "max_rows",
                    format!("must be from 2 to {MAX_ROWS}, not {rows}"),
                ));
            }
        };
        let id = job_id(&request.job_id)?;
        let history = self.store().history(id, max_rows.into()).await;
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
            .iter()
            .map(|preset| v1::Preset {
                name: preset.name.clone(),
                description: preset.description.clone(),
                spec: Some(SpecMessage::from(&preset.spec).into()),
            })
            .collect();
        Ok(Response::new(ListPresetsResponse { presets }))
    }

    async fn list_datasets(
        &self,
        request: Request<ListDatasetsRequest>,
    ) -> Result<Response<ListDatasetsResponse>, Status> {
        let request = request.into_inner();
        let mut page = match request.page_size {
            // Clients of earlier versions read one page only.
            0 => Page::new(page::MAX).up_to(page::ONLY_PAGE_BYTES),
            size => Page::new(page::size(size)?),
        };
        let after: Option<Position> = page::key("datasets", &request.page_token)?;
        let catalog = Arc::clone(&self.0.submitter.catalog);
        // One more shows whether there is another page.
        let limit = page.room() + 1;
        let listed = blocking(move || {
            catalog.list(after, limit).map_err(|error| {
                tracing::warn!(%error, "pushed data sets cannot be listed");
                storage_unavailable()
            })
        })
        .await?;
        let all = listed.len();
        let mut last = None;
        for entry in listed {
            let position = entry.position();
            if !page.push(dataset(entry)) {
                break;
            }
            last = Some(position);
        }
        let next_page_token = match last {
            Some(last) if page.items.len() < all => page::token("datasets", &last.to_string()),
            _ => String::new(),
        };
        Ok(Response::new(ListDatasetsResponse {
            datasets: page.items,
            next_page_token,
        }))
    }
}
