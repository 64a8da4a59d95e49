//! Sweeps over gRPC, on small jobs.

mod accepting;
mod results;
mod running;

use crate::support::Server;
use digits_proto::v1::{
    CancelJobRequest, GetSweepRequest, Job, JobSpec, ListJobsRequest, SubmitSweepRequest, Sweep,
    SweepParameter, SweepSpec, SweepState, Trial, TrialState,
    sweep_service_client::SweepServiceClient, training_service_client::TrainingServiceClient,
};
use digits_testing::until;
use tonic::{Status, transport::Channel};

type Sweeps = SweepServiceClient<Channel>;

async fn sweeps(server: &Server) -> Sweeps {
    SweepServiceClient::new(server.channel().await)
}

fn parameter(field: &str, values: &[&str]) -> SweepParameter {
    SweepParameter {
        field: field.to_owned(),
        values: values.iter().map(|it| (*it).to_owned()).collect(),
        range: None,
    }
}

fn grid(job: JobSpec, parameters: &[(&str, &[&str])]) -> SweepSpec {
    let parameters = parameters.iter();
    SweepSpec {
        job: Some(job),
        parameters: parameters
            .map(|(field, values)| parameter(field, values))
            .collect(),
        ..SweepSpec::default()
    }
}

async fn accept(client: &mut Sweeps, request_id: &str, spec: SweepSpec) -> Result<Sweep, Status> {
    let request = SubmitSweepRequest {
        request_id: request_id.to_owned(),
        spec: Some(spec),
    };
    let response = client.submit_sweep(request).await?;
    Ok(response.into_inner().sweep.expect("a sweep"))
}

async fn read(client: &mut Sweeps, sweep_id: &str) -> Sweep {
    let request = GetSweepRequest {
        sweep_id: sweep_id.to_owned(),
    };
    let response = client.get_sweep(request).await.expect("the sweep");
    response.into_inner().sweep.expect("a sweep")
}

/// Polls until `is_so` of the sweep.
async fn when(
    client: &mut Sweeps,
    sweep_id: &str,
    what: &str,
    is_so: impl Fn(&Sweep) -> bool,
) -> Sweep {
    let reached = until(what, async || {
        let sweep = read(client, sweep_id).await;
        Ok(is_so(&sweep).then_some(sweep))
    });
    reached.await.expect("reached")
}

async fn end(client: &mut Sweeps, sweep_id: &str) -> Sweep {
    when(client, sweep_id, "the sweep ends", |sweep| {
        sweep.state() != SweepState::Running
    })
    .await
}

async fn cancel_job(client: &mut TrainingServiceClient<Channel>, job_id: &str) {
    let job_id = job_id.to_owned();
    client
        .cancel_job(CancelJobRequest { job_id })
        .await
        .expect("cancelled");
}

/// The jobs of a sweep, by their label.
async fn members(client: &mut TrainingServiceClient<Channel>, sweep_id: &str) -> Vec<Job> {
    let label = ("sweep".to_owned(), sweep_id.to_owned());
    let request = ListJobsRequest {
        page_size: 1_000,
        labels: [label].into(),
        ..ListJobsRequest::default()
    };
    client
        .list_jobs(request)
        .await
        .expect("jobs")
        .into_inner()
        .jobs
}

fn states(sweep: &Sweep) -> Vec<TrialState> {
    sweep.trials.iter().map(Trial::state).collect()
}

fn correct(trial: &Trial) -> u64 {
    trial.validation.expect("a result").correct
}
