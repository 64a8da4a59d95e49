//! `digits.v1.InferenceService`.

pub mod decode;
pub mod encode;
mod get_model;
mod predict;
mod report_outcome;
mod roles;
mod service;
mod size;
mod stream;
mod upload;

pub use service::DigitsV1;
pub use upload::UPLOAD;
