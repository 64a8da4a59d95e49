//! Small services in this process that answer as the real ones would, so that the client is tested alone.

use digits_proto::v1::{
    self,
    checkpoint_service_server::{CheckpointService, CheckpointServiceServer},
    inference_service_server::{InferenceService, InferenceServiceServer},
    predict_request::Images,
    training_service_server::{TrainingService, TrainingServiceServer},
    watch_job_response::Event,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Id of the one job that the trainer knows.
pub const JOB: &str = "0190a0b0-0000-7000-8000-000000000001";
/// Id of the checkpoint that is served.
pub const CHECKPOINT: &str = "0190a0b0-0000-7000-8000-0000000000c1";
/// Events of the job: two changes of state, rows, a checkpoint, the end.
pub const EVENTS: u64 = 9;

type Stream<T> = futures::stream::BoxStream<'static, Result<T, Status>>;

/// A trainer whose watches are cut after a few events each.
#[derive(Default)]
pub struct Trainer {
    pub watches: AtomicU64,
    pub submissions: AtomicU64,
}

/// Starts both services on one port; returns their URL.
pub async fn start(trainer: Arc<Trainer>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let server = tonic::transport::Server::builder()
        .add_service(TrainingServiceServer::from_arc(trainer.clone()))
        .add_service(CheckpointServiceServer::from_arc(trainer))
        .add_service(InferenceServiceServer::new(Inference));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    url
}

fn evaluation(images: u64, accuracy: f64, loss: f64) -> v1::Evaluation {
    v1::Evaluation {
        images,
        correct: (images as f64 * accuracy).round() as u64,
        accuracy,
        loss,
        loss_batch_mean: loss,
        batch_size: 64,
    }
}

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
        })
    };
    let event = match sequence {
        1 => change(v1::JobState::Queued, ""),
        2 => change(v1::JobState::Running, "cpu"),
        8 => Event::CheckpointPublished(v1::CheckpointPublished {
            checkpoint_id: CHECKPOINT.to_owned(),
            epoch: 2,
            sequence: 3,
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
        if spec.epochs == Some(0) {
            let mut details = ErrorDetails::new();
            details.add_bad_request_violation("spec.epochs", "must be 1 to 10,000, not 0");
            let message = "invalid spec: spec.epochs";
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
        // Each stream gives three events; the first ends as if all were well, the second repeats an event and breaks.
        let watch = self.watches.fetch_add(1, SeqCst);
        let repeat = u64::from(watch == 1);
        let first = request.after_sequence + 1 - repeat;
        let mut events: Vec<_> = (first..=EVENTS)
            .take(3 + repeat as usize)
            .map(|it| Ok(event(it)))
            .collect();
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
        }))
    }
}

fn route(checkpoint: &str, role: v1::ServingRole, share: f64) -> v1::ServingRoute {
    v1::ServingRoute {
        checkpoint_id: checkpoint.to_owned(),
        role: role.into(),
        share,
    }
}

fn checkpoint() -> v1::Checkpoint {
    v1::Checkpoint {
        checkpoint_id: CHECKPOINT.to_owned(),
        model: "digits".to_owned(),
        temperature: 1.0,
        validation: Some(evaluation(6_000, 0.893, 0.378_932)),
        ..Default::default()
    }
}

fn report() -> v1::ReportCard {
    let row = |predicted: &[u64]| v1::ConfusionRow {
        predicted: predicted.to_vec(),
    };
    v1::ReportCard {
        dataset: "mnist".to_owned(),
        images: 10_000,
        errors: 1_000,
        error: 0.1,
        calibration: Some(v1::Calibration {
            temperature: 1.0,
            negative_log_likelihood: 0.351_287,
            expected_calibration_error: 0.0125,
            bins: 15,
        }),
        coverages: vec![v1::CoverageError {
            coverage: 0.95,
            error: 0.0725,
            threshold: 0.5,
        }],
        corruptions: vec![v1::CorruptionError {
            corruption: "shot_noise".to_owned(),
            error: 0.25,
        }],
        mean_corruption_error: 0.25,
        confusion: vec![row(&[970, 10]), row(&[990, 8_030])],
        hardest: vec![v1::HardImage {
            index: 247,
            label_index: 1,
            predicted_index: 0,
            probability: 0.9375,
            loss: 8.5,
            pixels: vec![0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0],
        }],
        program_version: "0.1.0".to_owned(),
        libtorch_version: "2.11.0".to_owned(),
        seconds: 4.5,
        ..Default::default()
    }
}

#[tonic::async_trait]
impl CheckpointService for Trainer {
    async fn list_checkpoints(
        &self,
        _: Request<v1::ListCheckpointsRequest>,
    ) -> Result<Response<v1::ListCheckpointsResponse>, Status> {
        let checkpoints = vec![checkpoint()];
        Ok(Response::new(v1::ListCheckpointsResponse {
            checkpoints,
            ..Default::default()
        }))
    }

    async fn get_checkpoint(
        &self,
        _: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        Ok(Response::new(v1::GetCheckpointResponse {
            checkpoint: Some(checkpoint()),
        }))
    }

    async fn promote(
        &self,
        request: Request<v1::PromoteRequest>,
    ) -> Result<Response<v1::PromoteResponse>, Status> {
        let request = request.into_inner();
        if request.expected_sequence != 3 {
            return Err(Status::aborted("the newest record is 3"));
        }
        let record = v1::ServingRecord {
            routes: vec![route(&request.checkpoint_id, request.role(), 1.0)],
            sequence: 4,
            hold: true,
            reason: 2,
            ..Default::default()
        };
        Ok(Response::new(v1::PromoteResponse {
            record: Some(record),
        }))
    }

    async fn drop_candidates(
        &self,
        request: Request<v1::DropCandidatesRequest>,
    ) -> Result<Response<v1::DropCandidatesResponse>, Status> {
        let promote = v1::PromoteRequest {
            checkpoint_id: CHECKPOINT.to_owned(),
            expected_sequence: request.into_inner().expected_sequence,
            role: v1::ServingRole::Primary.into(),
            ..Default::default()
        };
        let record = self
            .promote(Request::new(promote))
            .await?
            .into_inner()
            .record;
        Ok(Response::new(v1::DropCandidatesResponse { record }))
    }

    async fn rollback(
        &self,
        _: Request<v1::RollbackRequest>,
    ) -> Result<Response<v1::RollbackResponse>, Status> {
        Err(Status::unimplemented("Rollback"))
    }

    async fn release(
        &self,
        _: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseResponse>, Status> {
        Err(Status::unimplemented("Release"))
    }

    async fn list_serving(
        &self,
        _: Request<v1::ListServingRequest>,
    ) -> Result<Response<v1::ListServingResponse>, Status> {
        let records = vec![v1::ServingRecord {
            sequence: 3,
            reason: 1,
            routes: vec![
                route(CHECKPOINT, v1::ServingRole::Primary, 0.9),
                route("another", v1::ServingRole::Canary, 0.1),
            ],
            ..Default::default()
        }];
        Ok(Response::new(v1::ListServingResponse {
            records,
            ..Default::default()
        }))
    }

    async fn report_checkpoint(
        &self,
        request: Request<v1::ReportCheckpointRequest>,
    ) -> Result<Response<v1::ReportCheckpointResponse>, Status> {
        let request = request.into_inner();
        if request.checkpoint_id != CHECKPOINT {
            return Err(Status::resource_exhausted(
                "another report is being measured",
            ));
        }
        Ok(Response::new(v1::ReportCheckpointResponse {
            report: Some(report()),
            from_manifest: !request.measure_again,
            checkpoint: Some(v1::Checkpoint {
                label_names: vec!["nought".to_owned(), "one".to_owned()],
                input: Some(v1::InputSpec {
                    height: 4,
                    width: 3,
                    ..Default::default()
                }),
                ..checkpoint()
            }),
        }))
    }

    async fn import_checkpoint(
        &self,
        request: Request<tonic::Streaming<v1::ImportCheckpointRequest>>,
    ) -> Result<Response<v1::ImportCheckpointResponse>, Status> {
        use v1::import_checkpoint_request::Part;
        let mut messages = request.into_inner();
        let Some(Part::Header(header)) = messages.message().await?.and_then(|it| it.part) else {
            return Err(Status::invalid_argument(
                "header: must be the first message",
            ));
        };
        let mut size = 0;
        while let Some(message) = messages.message().await? {
            match message.part {
                Some(Part::Piece(piece)) if piece.len() <= 256 << 10 => size += piece.len(),
                other => return Err(Status::invalid_argument(format!("{other:?}"))),
            }
        }
        Ok(Response::new(v1::ImportCheckpointResponse {
            checkpoint: Some(v1::Checkpoint {
                checkpoint_id: header.checkpoint_id,
                label_names: header.label_names,
                input: header.input,
                // Shows that the file came whole.
                weights_size_bytes: size as u64,
                model: header.model.unwrap_or_default(),
                ..checkpoint()
            }),
        }))
    }
}

/// An inference service that always says 7 for packed pixels, and blank for pictures.
struct Inference;

fn seven() -> v1::Prediction {
    let mut logits = vec![0.0; 10];
    logits[7] = 3.0;
    let sum = 9.0 + 3.0_f32.exp();
    v1::Prediction {
        label_index: Some(7),
        label: "7".to_owned(),
        probabilities: logits.iter().map(|logit: &f32| logit.exp() / sum).collect(),
        logits,
        verdict: v1::Verdict::Label.into(),
        ..Default::default()
    }
}

#[tonic::async_trait]
impl InferenceService for Inference {
    async fn predict(
        &self,
        request: Request<v1::PredictRequest>,
    ) -> Result<Response<v1::PredictResponse>, Status> {
        let predictions = match request.into_inner().images {
            Some(Images::Pixels(pixels)) => vec![seven(); pixels.len() / 4],
            Some(Images::Pictures(pictures)) => {
                let blank = v1::Prediction {
                    verdict: v1::Verdict::Blank.into(),
                    ..Default::default()
                };
                vec![blank; pictures.encoded.len()]
            }
            None => return Err(Status::invalid_argument("images: give pixels or pictures")),
        };
        let served_by = v1::ServedBy {
            model: "digits".to_owned(),
            checkpoint_id: CHECKPOINT.to_owned(),
            sequence: 3,
            role: v1::ServingRole::Primary.into(),
        };
        Ok(Response::new(v1::PredictResponse {
            predictions,
            served_by: Some(served_by),
        }))
    }

    type PredictStreamStream = Stream<v1::PredictStreamResponse>;

    async fn predict_stream(
        &self,
        _: Request<tonic::Streaming<v1::PredictStreamRequest>>,
    ) -> Result<Response<Self::PredictStreamStream>, Status> {
        Err(Status::unimplemented("PredictStream"))
    }

    async fn get_model(
        &self,
        _: Request<v1::GetModelRequest>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        let served = v1::ServedCheckpoint {
            checkpoint: Some(checkpoint()),
            sequence: 3,
            role: v1::ServingRole::Primary.into(),
            share: 1.0,
            since: None,
        };
        let model = "digits".to_owned();
        let answer = v1::GetModelResponse {
            model,
            served: vec![served],
            head_sequence: 3,
            ..Default::default()
        };
        Ok(Response::new(answer))
    }

    async fn report_outcome(
        &self,
        _: Request<v1::ReportOutcomeRequest>,
    ) -> Result<Response<v1::ReportOutcomeResponse>, Status> {
        Err(Status::unimplemented("ReportOutcome"))
    }
}
