//! The prediction pipeline that all protocols share: preprocess → route → batch → engine →
//! read → classify.
//!
//! # The way of a `Predict` request
//!
//! 1. [`GrpcServer::serve`] accepts the connection. [`InstrumentedService`] authenticates the
//!    request, applies the limits, and puts its [`Deadline`] into the request's extensions.
//! 2. The codec, [`DigitsV1`], builds a [`PredictContext`], takes the model's
//!    [`ServingSnapshot`] once, and decodes the message into a [`PredictInput`], checked against
//!    the snapshot and the [`RequestLimits`] ([`decode`]).
//! 3. [`Predictor::predict`] runs the stages, each a function in a module of its own:
//!     1. [`preprocess()`]: encoded pictures become [`NormalizedImages`], on the [`BlockingPool`] and
//!        by the turns of the [`PictureQueue`]; pixels that are in the network's form pass through.
//!     2. [`SelectedRoute::select`]: the primary or a canary, by its share.
//!     3. [`compute()`]: a small request runs inline, a large one in the [`BatchQueue`], whose
//!        [`worker`](batch::worker::run) computes those that wait for one model together. Both call
//!        the engine, [`Network::logits`].
//!     4. [`read()`]: of what may be digits in a picture, those that are; the others are dropped.
//!     5. [`classify()`]: softmax and the most probable label, and what is counted of them.
//!     6. [`ShadowQueue::enqueue`]: shadows compute the same images later; they never respond.
//! 4. The codec encodes the [`Prediction`] ([`encode`]) and maps a [`PredictError`] to a gRPC code
//!    ([`status::from_predict_error`]).
//!
//! [`OpenInference`] is a codec over the same function, and [`rest`] translates JSON into its
//! messages. No stage knows a protocol; only the codecs name generated types.
//!
//! [`GrpcServer::serve`]: digits_server::GrpcServer::serve
//! [`InstrumentedService`]: digits_server::InstrumentedService
//! [`Deadline`]: digits_server::Deadline
//! [`DigitsV1`]: crate::grpc::DigitsV1
//! [`OpenInference`]: crate::grpc::OpenInference
//! [`rest`]: crate::grpc::rest
//! [`decode`]: crate::grpc::digits_v1::decode
//! [`encode`]: crate::grpc::digits_v1::encode
//! [`status::from_predict_error`]: crate::grpc::status::from_predict_error
//! [`ServingSnapshot`]: crate::model::ServingSnapshot
//! [`Network::logits`]: crate::engine::Network::logits

pub mod batch;
pub mod classify;
pub mod compute;
pub mod context;
pub mod error;
pub mod input;
pub mod limits;
pub mod logits;
pub mod picture_queue;
pub mod pixels;
pub mod pool;
pub mod prediction;
pub mod predictor;
pub mod preprocess;
pub mod read;
pub mod route;
pub mod shadow;
pub mod tensor;

pub use batch::BatchQueue;
pub use classify::classify;
pub use compute::compute;
pub use context::PredictContext;
pub use error::{InvalidImage, PredictError};
pub use input::{Expect, InputImages, PredictInput};
pub use limits::RequestLimits;
pub use picture_queue::{PictureQueue, PictureQueueLimits};
pub use pixels::Pixels;
pub use pool::BlockingPool;
pub use prediction::{ImageResult, Prediction};
pub use predictor::Predictor;
pub use preprocess::{NormalizedImages, preprocess};
pub use read::read;
pub use route::{SelectedRoute, Target};
pub use shadow::ShadowQueue;
pub use tensor::{ElementType, TensorValues};
