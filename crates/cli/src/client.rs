//! Connections to the services.
//!
//! Channels connect at the first call and again after a break; what is retried, and when, is the caller's
//! business.

use crate::error::{Error, Service};
use digits_proto::v1::{
    checkpoint_service_client::CheckpointServiceClient,
    inference_service_client::InferenceServiceClient,
    training_service_client::TrainingServiceClient,
};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// Largest message that is sent or taken, in bytes: more than any limit of the services.
const MAX_MESSAGE: usize = 256 << 20;
/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);
/// A silent connection is asked whether it lives this often, so that a watch notices a dead peer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where the services are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// URL of the trainer.
    pub trainer: String,
    /// URL of the inference service.
    pub inference: String,
    /// How long a call may take until its answer begins.
    pub timeout: Duration,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            trainer: Service::Trainer.default_url().to_owned(),
            inference: Service::Inference.default_url().to_owned(),
            timeout: Duration::from_secs(30),
        }
    }
}

impl Endpoints {
    /// The URL of a service.
    #[must_use]
    pub fn url(&self, service: Service) -> &str {
        match service {
            Service::Trainer => &self.trainer,
            Service::Inference => &self.inference,
        }
    }

    /// A channel to a service; it connects at the first call.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn channel(&self, service: Service) -> Result<Channel, Error> {
        let url = self.url(service);
        let bad = || Error::Url {
            service,
            url: url.to_owned(),
        };
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| bad())?;
        if endpoint.uri().scheme().is_none() || endpoint.uri().host().is_none() {
            return Err(bad());
        }
        Ok(endpoint
            .connect_timeout(CONNECT)
            .timeout(self.timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .connect_lazy())
    }

    /// A client of the trainer's jobs.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn training(&self) -> Result<TrainingServiceClient<Channel>, Error> {
        let channel = self.channel(Service::Trainer)?;
        Ok(TrainingServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE))
    }

    /// A client of the trainer's checkpoints.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn checkpoints(&self) -> Result<CheckpointServiceClient<Channel>, Error> {
        let channel = self.channel(Service::Trainer)?;
        Ok(CheckpointServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE))
    }

    /// A client of the inference service.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn inference(&self) -> Result<InferenceServiceClient<Channel>, Error> {
        let channel = self.channel(Service::Inference)?;
        Ok(InferenceServiceClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bad_urls_are_named() {
        for url in ["", "localhost", "not a url", "127.0.0.1:50051"] {
            let endpoints = Endpoints {
                trainer: url.to_owned(),
                ..Endpoints::default()
            };
            let error = endpoints.training().expect_err(url);
            assert_eq!(error.exit_code(), 64, "{url}");
            assert!(
                error.to_string().contains("http://127.0.0.1:50051"),
                "{error}"
            );
        }
        assert!(Endpoints::default().inference().is_ok());
    }
}
