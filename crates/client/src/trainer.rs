//! Calls of the trainer that concern jobs and data sets.

use crate::{
    call::{Caller, RetryPolicy, pages, rpc},
    connection::{self, Connection, MAX_MESSAGE, Options},
    error::Error,
    service::Service,
    watch::{self, WatchNotice, WatchOptions},
};
use digits_proto::v1::{
    CancelJobRequest, Dataset, GetHistoryRequest, GetHistoryResponse, GetJobRequest, Job,
    JobFinished, JobSpec, ListDatasetsRequest, ListJobsRequest, ListPresetsRequest, Preset,
    SubmitJobRequest, training_service_client::TrainingServiceClient,
};
use std::time::Duration;
use tonic_health::pb::health_check_response::ServingStatus;

/// A client of the trainer. Clones share its connection.
#[derive(Clone)]
pub struct TrainerClient {
    pub(crate) calls: Caller,
    pub(crate) connection: Connection,
}

impl TrainerClient {
    /// A client of the trainer at a URL; it connects with the first call.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Certificates`].
    pub fn new(url: &str, options: &Options) -> Result<Self, Error> {
        let (calls, connection) = connection::connect(Service::Trainer, url, options)?;
        Ok(Self { calls, connection })
    }

    /// The same client with another [`Options::timeout`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.calls.timeout = timeout;
        self
    }

    /// The same client with other [`Options::retry`].
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.calls.retry = retry;
        self
    }

    fn service(&self) -> TrainingServiceClient<Connection> {
        TrainingServiceClient::new(self.connection.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// Submits a job. However often a request id arrives, it makes one job.
    ///
    /// # Errors
    /// See [`Error`]; a spec that is refused has the fields in the status's details.
    pub async fn submit(&self, request_id: String, spec: JobSpec) -> Result<Job, Error> {
        let request = SubmitJobRequest {
            request_id,
            spec: Some(spec),
        };
        let answer = self
            .calls
            .retried(request, rpc!(self.service(), submit_job))
            .await?;
        self.calls.filled(answer.job, "job")
    }

    /// One job.
    ///
    /// # Errors
    /// See [`Error`]; `NOT_FOUND` for an unknown id.
    pub async fn job(&self, job_id: &str) -> Result<Job, Error> {
        let request = GetJobRequest {
            job_id: job_id.to_owned(),
        };
        let answer = self
            .calls
            .retried(request, rpc!(self.service(), get_job))
            .await?;
        self.calls.filled(answer.job, "job")
    }

    /// The newest jobs that match, at most `limit`; the request's page is not used.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn jobs(&self, filter: ListJobsRequest, limit: usize) -> Result<Vec<Job>, Error> {
        let page = |page_size, page_token| {
            let request = ListJobsRequest {
                page_size,
                page_token,
                ..filter.clone()
            };
            self.calls.retried(request, rpc!(self.service(), list_jobs))
        };
        pages(limit, page, |page| (page.jobs, page.next_page_token)).await
    }

    /// Stops a job; returns it as it is then.
    ///
    /// # Errors
    /// See [`Error`]; `NOT_FOUND` for an unknown id.
    pub async fn cancel(&self, job_id: &str) -> Result<Job, Error> {
        let request = CancelJobRequest {
            job_id: job_id.to_owned(),
        };
        let answer = self
            .calls
            .retried(request, rpc!(self.service(), cancel_job))
            .await?;
        self.calls.filled(answer.job, "job")
    }

    /// Rows of a job's curves, oldest first, thinned out to at most `max_rows`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn history(&self, job_id: &str, max_rows: u32) -> Result<GetHistoryResponse, Error> {
        let request = GetHistoryRequest {
            job_id: job_id.to_owned(),
            max_rows,
        };
        self.calls
            .retried(request, rpc!(self.service(), get_history))
            .await
    }

    /// Watches a job to its end, over connections that break, and returns how it ended. `on_notice`
    /// receives each event once, in order, and may end the watch with an error.
    ///
    /// # Errors
    /// [`Error::Status`] when the trainer refuses the watch, [`Error::WatchLost`] when it stays
    /// away, and what `on_notice` returns.
    pub async fn watch<E: From<Error>>(
        &self,
        job_id: &str,
        options: WatchOptions,
        on_notice: impl FnMut(WatchNotice<'_>) -> Result<(), E>,
    ) -> Result<JobFinished, E> {
        let stream = |request| self.calls.open(request, rpc!(self.service(), watch_job));
        watch::watch(&self.calls, stream, job_id, options, on_notice).await
    }

    /// The presets of the trainer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn presets(&self) -> Result<Vec<Preset>, Error> {
        let answer = self
            .calls
            .retried(ListPresetsRequest {}, rpc!(self.service(), list_presets))
            .await?;
        Ok(answer.presets)
    }

    /// The data sets that a job can name.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn datasets(&self) -> Result<Vec<Dataset>, Error> {
        let page = |page_size, page_token| {
            let request = ListDatasetsRequest {
                page_size,
                page_token,
            };
            self.calls
                .retried(request, rpc!(self.service(), list_datasets))
        };
        pages(usize::MAX, page, |page| {
            (page.datasets, page.next_page_token)
        })
        .await
    }

    /// The service's health.
    ///
    /// # Errors
    /// See [`Error`]; NOT_FOUND where another service listens at the URL.
    pub async fn health(&self) -> Result<ServingStatus, Error> {
        connection::health(&self.calls, &self.connection).await
    }
}
