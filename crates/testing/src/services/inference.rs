//! The scripted inference service.

use super::{
    checkpoints::checkpoint,
    script::{BAD_PICTURE, CHECKPOINT, Stream},
};
use digits_proto::v1::{self, inference_service_server::InferenceService, predict_request::Images};
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// An inference service that predicts 7 for packed pixels, and finds pictures blank.
pub struct Inference;

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

fn is_bad(picture: &impl AsRef<[u8]>) -> bool {
    picture.as_ref() == BAD_PICTURE.as_bytes()
}

#[tonic::async_trait]
impl InferenceService for Inference {
    async fn predict(
        &self,
        request: Request<v1::PredictRequest>,
    ) -> Result<Response<v1::PredictResponse>, Status> {
        let predictions = match request.into_inner().images {
            Some(Images::Pixels(pixels)) => vec![seven(); pixels.len() / 4],
            Some(Images::Pictures(pictures)) if pictures.encoded.iter().any(is_bad) => {
                let mut details = ErrorDetails::new();
                let field = "pictures.encoded[0]";
                details.add_bad_request_violation(field, "is no picture: send PNG");
                let message = "pictures.encoded[0]: is no picture: send PNG";
                return Err(Status::with_error_details(
                    tonic::Code::InvalidArgument,
                    message,
                    details,
                ));
            }
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
            live: None,
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
