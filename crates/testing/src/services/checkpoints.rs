//! Checkpoints of the scripted trainer.

use super::script::{CHECKPOINT, IMPORTED, JOB, Trainer, evaluation};
use digits_proto::v1::{self, checkpoint_service_server::CheckpointService};
use tonic::{Request, Response, Status};

fn route(checkpoint: &str, role: v1::ServingRole, share: f64) -> v1::ServingRoute {
    v1::ServingRoute {
        checkpoint_id: checkpoint.to_owned(),
        role: role.into(),
        share,
    }
}

pub(super) fn checkpoint() -> v1::Checkpoint {
    v1::Checkpoint {
        checkpoint_id: CHECKPOINT.to_owned(),
        model: "digits".to_owned(),
        temperature: 1.0,
        validation: Some(evaluation(6_000, 0.893, 0.378_932)),
        lineage: Some(v1::Lineage {
            job_id: JOB.to_owned(),
            epoch: 2,
            ..Default::default()
        }),
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
        styles: vec![v1::StyleError {
            label: "1".to_owned(),
            style: "long flag".to_owned(),
            images: 60,
            error: 0.5,
        }],
        mean_style_error: 0.5,
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
        request: Request<v1::ListCheckpointsRequest>,
    ) -> Result<Response<v1::ListCheckpointsResponse>, Status> {
        let of_job = request.into_inner().job_id;
        let mut checkpoints = vec![checkpoint()];
        checkpoints.retain(|_| of_job.is_empty() || of_job == JOB);
        Ok(Response::new(v1::ListCheckpointsResponse {
            checkpoints,
            ..Default::default()
        }))
    }

    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        let mut checkpoint = checkpoint();
        if request.into_inner().checkpoint_id == IMPORTED {
            checkpoint.checkpoint_id = IMPORTED.to_owned();
            checkpoint.lineage = None;
        }
        Ok(Response::new(v1::GetCheckpointResponse {
            checkpoint: Some(checkpoint),
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
                lineage: None,
                // Shows that the file came whole.
                weights_size_bytes: size as u64,
                model: header.model.unwrap_or_default(),
                ..checkpoint()
            }),
            notes: vec!["without a bias, so with zeros for it: `fc`".to_owned()],
            measurement: header.dataset.map(measurement),
        }))
    }
}

/// A network under settings that are not those of its training, far below what serves.
fn measurement(dataset: String) -> v1::ImportMeasurement {
    let evaluation = |accuracy| {
        Some(v1::Evaluation {
            images: 10_000,
            accuracy,
            ..Default::default()
        })
    };
    v1::ImportMeasurement {
        dataset,
        evaluation: evaluation(0.7895),
        best: Some(v1::ImportSettings {
            input: Some(v1::InputSpec {
                scale: 255.0,
                mean: 0.1307,
                std: 0.3081,
                ..Default::default()
            }),
            activation: v1::Activation::Tanh.into(),
            ..Default::default()
        }),
        best_evaluation: evaluation(0.9384),
        best_is_clearly_better: true,
        served_checkpoint_id: checkpoint().checkpoint_id,
        served: evaluation(0.987),
        ..Default::default()
    }
}
