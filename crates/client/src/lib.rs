//! Client of the trainer and the inference service: connections with TLS and tokens, deadlines,
//! retries, and one method for each call.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), digits_client::Error> {
//! # let url = digits_testing::services::start(Default::default()).await;
//! # let image = vec![0; 784];
//! use digits_client::{InferenceClient, Options};
//!
//! let client = InferenceClient::new(&url, &Options::default())?;
//! let answer = client.predict_pixels(image).await?;
//! let sequence = answer.served_by.map_or(0, |served| served.sequence);
//! println!("{} by version {sequence}", answer.predictions[0].label);
//! # Ok(())
//! # }
//! ```
//!
//! [`messages`] has the types of requests and responses; their fields are documented in
//! `proto/digits/v1/`. A call fails with [`Error`] once [`Options::timeout`] has passed. Calls that
//! may be repeated without harm are repeated by the [`RetryPolicy`]; `promote`, `rollback`,
//! `release`, `drop_candidates`, `report` and `import` are sent once.

mod call;
mod checkpoints;
mod connection;
mod credentials;
mod error;
mod inference;
mod service;
mod sweeps;
mod trainer;
mod watch;

pub use call::{RetryNotice, RetryPolicy};
pub use connection::Options;
pub use credentials::{Credentials, CredentialsError};
pub use digits_proto::v1 as messages;
pub use error::{ConnectionFailure, Error};
pub use inference::InferenceClient;
pub use service::Service;
pub use tonic_health::pb::health_check_response::ServingStatus;
pub use trainer::TrainerClient;
pub use watch::{WatchNotice, WatchOptions};
