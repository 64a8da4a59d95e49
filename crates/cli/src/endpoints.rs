//! URLs of both services, and the options of calls to them.

use digits_client::{
    Credentials, Error, InferenceClient, Options, RetryPolicy, Service, TrainerClient,
};
use std::time::Duration;

/// URLs of both services, and the options of calls to them. Calls are not retried: an unreachable
/// service is reported at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// URL of the trainer.
    pub trainer: String,
    /// URL of the inference service.
    pub inference: String,
    /// Time from a call to its deadline.
    pub timeout: Duration,
    /// Credentials for both services.
    pub credentials: Credentials,
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

    fn options(&self) -> Options {
        Options {
            timeout: self.timeout,
            retry: RetryPolicy::NEVER,
            credentials: self.credentials.clone(),
        }
    }

    /// A client of the trainer.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Certificates`].
    pub fn trainer(&self) -> Result<TrainerClient, Error> {
        TrainerClient::new(&self.trainer, &self.options())
    }

    /// A client of the inference service.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Certificates`].
    pub fn inference(&self) -> Result<InferenceClient, Error> {
        InferenceClient::new(&self.inference, &self.options())
    }
}
