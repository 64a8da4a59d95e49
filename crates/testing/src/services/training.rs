//! Jobs and data sets of the scripted trainer.

use super::script::{CHECKPOINT, EVENTS, JOB, Stream, Trainer, evaluation};
use digits_proto::v1::{self, training_service_server::TrainingService, watch_job_response::Event};
use std::sync::atomic::Ordering::SeqCst;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

fn row(number: u64) -> v1::CurveRow {
    let loss = 2.0 / number as f64;
    v1::CurveRow {
        step: number * 100 - 99,
        epoch: 1 + (number as u32 - 1) / 3,
        step_in_epoch: 1,
        train_loss: loss,
        validation: Some(evaluation(6_000, 1.0 - loss / 4.0, loss)),
        learning_rate: 0.001,
        samples_per_second: 123_456.7,
        ..Default::default()
    }
}

fn job(state: v1::JobState) -> v1::Job {
    let spec = v1::JobSpec {
        preset: "notebook".to_owned(),
        name: "try".to_owned(),
        ..Default::default()
    };
    v1::Job {
        job_id: JOB.to_owned(),
        requested: Some(spec.clone()),
        resolved: Some(spec),
        state: state.into(),
        progress: Some(v1::JobProgress {
            epochs: 2,
            steps: 500,
            ..Default::default()
        }),
        network: Some(v1::NetworkSize {
            parameters: 7_960,
            parameter_bytes: 31_840,
            ..Default::default()
        }),
        test: (state == v1::JobState::Succeeded).then(|| evaluation(10_000, 0.9, 0.351_287)),
        ..Default::default()
    }
}

fn event(sequence: u64) -> v1::WatchJobResponse {
    let change = |state: v1::JobState, device: &str| {
        Event::StateChanged(v1::JobStateChanged {
            state: state.into(),
            device: device.to_owned(),
            ..v1::JobStateChanged::default()
        })
    };
    let event = match sequence {
        1 => change(v1::JobState::Queued, ""),
        2 => change(v1::JobState::Running, "cpu"),
        8 => Event::CheckpointPublished(v1::CheckpointPublished {
            checkpoint_id: CHECKPOINT.to_owned(),
            epoch: 2,
            sequence: 3,
            promotion: None,
        }),
        EVENTS => Event::Finished(v1::JobFinished {
            state: v1::JobState::Succeeded.into(),
            error: String::new(),
            test: Some(evaluation(10_000, 0.9, 0.351_287)),
        }),
        number => Event::Row(row(number - 2)),
    };
    v1::WatchJobResponse {
        sequence,
        at: None,
        event: Some(event),
    }
}

fn known(job_id: &str) -> Result<(), Status> {
    if job_id == JOB {
        Ok(())
    } else {
        Err(Status::not_found(format!("no job {job_id:?}")))
    }
}

#[tonic::async_trait]
impl TrainingService for Trainer {
    async fn submit_job(
        &self,
        request: Request<v1::SubmitJobRequest>,
    ) -> Result<Response<v1::SubmitJobResponse>, Status> {
        // The first answer is lost on its way.
        if self.submissions.fetch_add(1, SeqCst) == 0 {
            return Err(Status::unavailable("starting"));
        }
        let spec = request.into_inner().spec.unwrap_or_default();
        if spec.batch_size == Some(0) {
            let mut details = ErrorDetails::new();
            details.add_bad_request_violation("spec.batch_size", "must be at least 1, not 0");
            let message = "invalid spec: spec.batch_size";
            return Err(Status::with_error_details(
                tonic::Code::InvalidArgument,
                message,
                details,
            ));
        }
        Ok(Response::new(v1::SubmitJobResponse {
            job: Some(job(v1::JobState::Queued)),
        }))
    }

    async fn get_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<v1::GetJobResponse>, Status> {
        known(&request.into_inner().job_id)?;
        Ok(Response::new(v1::GetJobResponse {
            job: Some(job(v1::JobState::Succeeded)),
        }))
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        // Two pages of one job each.
        let last = !request.into_inner().page_token.is_empty();
        let state = if last {
            v1::JobState::Succeeded
        } else {
            v1::JobState::Running
        };
        let next_page_token = if last {
            String::new()
        } else {
            "next".to_owned()
        };
        Ok(Response::new(v1::ListJobsResponse {
            jobs: vec![job(state)],
            next_page_token,
        }))
    }

    async fn cancel_job(
        &self,
        request: Request<v1::CancelJobRequest>,
    ) -> Result<Response<v1::CancelJobResponse>, Status> {
        known(&request.into_inner().job_id)?;
        Ok(Response::new(v1::CancelJobResponse {
            job: Some(job(v1::JobState::Cancelled)),
        }))
    }

    type WatchJobStream = Stream<v1::WatchJobResponse>;

    async fn watch_job(
        &self,
        request: Request<v1::WatchJobRequest>,
    ) -> Result<Response<Self::WatchJobStream>, Status> {
        let request = request.into_inner();
        known(&request.job_id)?;
        // Each stream gives a heartbeat and three events; the first ends without an error, the second
        // repeats an event and breaks.
        let watch = self.watches.fetch_add(1, SeqCst);
        let repeat = u64::from(watch == 1);
        let first = request.after_sequence + 1 - repeat;
        let heartbeat = v1::WatchJobResponse {
            sequence: request.after_sequence,
            at: None,
            event: Some(Event::Heartbeat(v1::Heartbeat {})),
        };
        let events = (first..=EVENTS).take(3 + repeat as usize).map(event);
        let mut events: Vec<_> = std::iter::once(heartbeat).chain(events).map(Ok).collect();
        if watch == 1 {
            events.push(Err(Status::internal("the connection broke")));
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(events))))
    }

    async fn get_history(
        &self,
        _: Request<v1::GetHistoryRequest>,
    ) -> Result<Response<v1::GetHistoryResponse>, Status> {
        let rows = (1..=5).map(row).collect();
        Ok(Response::new(v1::GetHistoryResponse {
            rows,
            total_rows: 5,
        }))
    }

    async fn list_presets(
        &self,
        _: Request<v1::ListPresetsRequest>,
    ) -> Result<Response<v1::ListPresetsResponse>, Status> {
        let preset = v1::Preset {
            name: "notebook".to_owned(),
            ..Default::default()
        };
        Ok(Response::new(v1::ListPresetsResponse {
            presets: vec![preset],
        }))
    }

    async fn list_datasets(
        &self,
        _: Request<v1::ListDatasetsRequest>,
    ) -> Result<Response<v1::ListDatasetsResponse>, Status> {
        let dataset = v1::Dataset {
            name: "mnist".to_owned(),
            height: 28,
            width: 28,
            ..Default::default()
        };
        Ok(Response::new(v1::ListDatasetsResponse {
            datasets: vec![dataset],
            next_page_token: String::new(),
        }))
    }
}
