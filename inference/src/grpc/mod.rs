//! The codecs: `digits.v1`, the Open Inference Protocol over gRPC, and the same over HTTP.
//!
//! Only they name generated types and status codes; what they decode goes through
//! [`Predictor::predict`](crate::predict::Predictor::predict).

pub mod digits_v1;
pub mod lookup;
pub mod open_inference;
mod permissions;
pub mod rest;
pub mod status;

pub use digits_v1::{DigitsV1, UPLOAD};
pub use open_inference::OpenInference;
pub use permissions::ROLES;
