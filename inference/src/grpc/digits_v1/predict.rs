//! One request of `Predict` or of a stream: decode, predict, encode.

use super::{decode::decode, encode::encode, size};
use crate::{
    grpc::{lookup, status},
    model::Registry,
    predict::{PredictContext, Predictor, Target},
};
use digits_proto::v1::{PredictRequest, PredictResponse};
use std::sync::Arc;
use tonic::Status;

/// Dependencies of a request's handler. Cheap to clone.
#[derive(Clone)]
pub(super) struct Handler {
    pub(super) registry: Arc<Registry>,
    pub(super) predictor: Predictor,
}

impl Handler {
    /// Classifies the images of one message.
    pub(super) async fn predict(
        &self,
        request: PredictRequest,
        context: &PredictContext,
    ) -> Result<PredictResponse, Status> {
        let model = lookup::model(&self.registry, "model", &request.model)?;
        let snapshot = &lookup::snapshot(model)?;
        let checkpoint = &snapshot.primary.checkpoint;
        let (input, options) = decode(request, checkpoint, self.predictor.limits())?;
        let target = Target { model, snapshot };
        let prediction = self.predictor.predict(target, input, context).await;
        let prediction = prediction.map_err(|error| {
            status::from_predict_error(error, |index| format!("pictures.encoded[{index}]"))
        })?;
        // Only now it is known how many digits the pictures have.
        let count = prediction.parts();
        size::check(count, options, checkpoint, self.predictor.limits())
            .map_err(|error| status::invalid_field("pictures.encoded", error.to_string()))?;
        Ok(encode(&prediction, options))
    }
}
