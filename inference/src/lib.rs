//! The inference service of `digits`: follows the storage, loads checkpoints while it answers, classifies digits.
//!
//! [`engine`] computes, [`picture`] prepares what users send, [`model`] holds what is served, [`loader`] brings it in,
//! [`grpc`] answers, [`app`] puts them together. Links no libtorch and knows nothing of training.

pub mod app;
pub mod config;
pub mod engine;
pub mod grpc;
pub mod loader;
pub mod metrics;
pub mod model;
pub mod model_info;
pub mod picture;
