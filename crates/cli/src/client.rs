//! Connections to the services.
//!
//! Channels connect at the first call and again after a break; what is retried, and when, is the caller's
//! business.

use crate::{
    credentials::{Connection, Credentials},
    error::{Error, Service},
};
use bytes::Bytes;
use digits_proto::v1::{
    checkpoint_service_client::CheckpointServiceClient,
    inference_service_client::InferenceServiceClient,
    training_service_client::TrainingServiceClient,
};
use http_body::Body as HttpBody;
use std::{error::Error as StdError, time::Duration};
use tonic::{
    body::Body,
    client::GrpcService,
    transport::{Endpoint, Uri},
};

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
    /// What is shown to both of them, and which certificates are believed.
    pub credentials: Credentials,
}

/// What a client speaks through: a bare channel, or one that brings a token along.
pub trait Transport:
    GrpcService<
        Body,
        ResponseBody: HttpBody<
            Data = Bytes,
            Error: Into<Box<dyn StdError + Send + Sync>> + Send,
        > + Send
                          + 'static,
    > + Clone
{
}

impl<T> Transport for T where
    T: GrpcService<
            Body,
            ResponseBody: HttpBody<
                Data = Bytes,
                Error: Into<Box<dyn StdError + Send + Sync>> + Send,
            > + Send
                              + 'static,
        > + Clone
{
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            trainer: Service::Trainer.default_url().to_owned(),
            inference: Service::Inference.default_url().to_owned(),
            timeout: Duration::from_secs(30),
            credentials: Credentials::default(),
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

    /// A channel to a service, with the token; it connects at the first call.
    ///
    /// # Errors
    /// [`Error::Url`], and [`Error::Usage`] for certificates that cannot be used.
    pub fn channel(&self, service: Service) -> Result<Connection, Error> {
        let url = self.url(service);
        let bad = || Error::Url {
            service,
            url: url.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|_| bad())?;
        if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(bad());
        }
        let secure = uri.scheme_str() == Some("https");
        let mut endpoint = Endpoint::from(uri);
        if secure {
            endpoint = endpoint
                .tls_config(self.credentials.tls())
                .map_err(|error| Error::Usage(certificates(&error)))?;
        }
        let channel = endpoint
            .connect_timeout(CONNECT)
            .timeout(self.timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .connect_lazy();
        Ok(Connection::new(channel, self.credentials.bearer()))
    }

    /// A client of the trainer's jobs.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn training(&self) -> Result<TrainingServiceClient<Connection>, Error> {
        let channel = self.channel(Service::Trainer)?;
        Ok(TrainingServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE))
    }

    /// A client of the trainer's checkpoints.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn checkpoints(&self) -> Result<CheckpointServiceClient<Connection>, Error> {
        let channel = self.channel(Service::Trainer)?;
        Ok(CheckpointServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE))
    }

    /// A client of the inference service.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn inference(&self) -> Result<InferenceServiceClient<Connection>, Error> {
        let channel = self.channel(Service::Inference)?;
        Ok(InferenceServiceClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE))
    }
}

/// What is wrong with our own certificates.
fn certificates(error: &tonic::transport::Error) -> String {
    let cause = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    format!(
        "--tls-ca-file, --tls-client-certificate-file and --tls-client-key-file cannot be used together: {cause}"
    )
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
