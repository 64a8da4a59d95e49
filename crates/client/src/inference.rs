//! Calls of the inference service.

use crate::{
    call::{Caller, rpc},
    connection::{self, Connection, MAX_MESSAGE, Options},
    error::Error,
    service::Service,
};
use bytes::Bytes;
use digits_proto::v1::{
    EncodedPictures, GetModelRequest, GetModelResponse, PredictRequest, PredictResponse,
    PredictStreamRequest, PredictStreamResponse, ReportOutcomeRequest,
    inference_service_client::InferenceServiceClient, predict_request::Images,
};
use futures::Stream;
use std::time::Duration;
use tonic::Streaming;
use tonic_health::pb::health_check_response::ServingStatus;

/// A client of the inference service. Clones share its connection.
#[derive(Clone)]
pub struct InferenceClient {
    calls: Caller,
    connection: Connection,
}

impl InferenceClient {
    /// A client of the service at a URL; it connects with the first call.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Certificates`].
    pub fn new(url: &str, options: &Options) -> Result<Self, Error> {
        let (calls, connection) = connection::connect(Service::Inference, url, options)?;
        Ok(Self { calls, connection })
    }

    /// The same client with another [`Options::timeout`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.calls.timeout = timeout;
        self
    }

    fn service(&self) -> InferenceServiceClient<Connection> {
        InferenceServiceClient::new(self.connection.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    /// Classifies images.
    ///
    /// # Errors
    /// See [`Error`]; `UNAVAILABLE` as long as no checkpoint is served.
    pub async fn predict(&self, request: PredictRequest) -> Result<PredictResponse, Error> {
        self.calls
            .retried(request, rpc!(self.service(), predict))
            .await
    }

    /// Classifies n × height × width grey bytes, n of the model's inputs one after the other; 0 is
    /// background and 255 full ink.
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub async fn predict_pixels(&self, pixels: impl Into<Bytes>) -> Result<PredictResponse, Error> {
        let images = Some(Images::Pixels(pixels.into()));
        self.predict(PredictRequest {
            images,
            ..PredictRequest::default()
        })
        .await
    }

    /// Classifies PNG, JPEG, WebP, BMP or GIF files of any size.
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub async fn predict_pictures(&self, files: Vec<Bytes>) -> Result<PredictResponse, Error> {
        let images = Some(Images::Pictures(EncodedPictures { encoded: files }));
        self.predict(PredictRequest {
            images,
            ..PredictRequest::default()
        })
        .await
    }

    /// Classifies a stream of requests; each response names the request that it belongs to. There
    /// are no retries.
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub async fn predict_stream(
        &self,
        requests: impl Stream<Item = PredictStreamRequest> + Send + 'static,
    ) -> Result<Streaming<PredictStreamResponse>, Error> {
        self.calls
            .open(requests, rpc!(self.service(), predict_stream))
            .await
    }

    /// What is served for a model; empty for the service's default.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn model(&self, model: &str) -> Result<GetModelResponse, Error> {
        let request = GetModelRequest {
            model: model.to_owned(),
        };
        self.calls
            .retried(request, rpc!(self.service(), get_model))
            .await
    }

    /// Reports the true label of an image that was classified. Sent once, for every report counts.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn report_outcome(&self, outcome: ReportOutcomeRequest) -> Result<(), Error> {
        self.calls
            .once(outcome, rpc!(self.service(), report_outcome))
            .await?;
        Ok(())
    }

    /// The service's health.
    ///
    /// # Errors
    /// See [`Error`]; NOT_FOUND where another service listens at the URL.
    pub async fn health(&self) -> Result<ServingStatus, Error> {
        connection::health(&self.calls, &self.connection).await
    }
}
