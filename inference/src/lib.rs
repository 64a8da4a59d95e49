//! The inference service of `digits`: follows the storage, loads checkpoints while it answers, classifies digits.
//!
//! [`engine`] computes, [`logits`] for whole requests, [`queue`] what is large; [`picture`] prepares what users send, [`model`]
//! holds what is served, [`loader`] brings it in, [`routing`] chooses who answers, [`classifier`] counts what is answered and [`drift`]
//! compares it, [`grpc`] answers, [`page`] is for people, [`app`] puts them together. Links no libtorch and knows nothing of training.

pub mod app;
pub mod classifier;
pub mod config;
pub mod drift;
pub mod engine;
pub mod grpc;
pub mod loader;
pub mod logits;
pub mod metrics;
pub mod model;
pub mod model_info;
pub mod page;
pub mod picture;
pub mod pixels;
pub mod queue;
pub mod routing;
