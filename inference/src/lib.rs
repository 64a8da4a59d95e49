//! The inference service of `digits`: follows the storage, loads checkpoints while it serves, and
//! classifies images of digits over gRPC and HTTP.
//!
//! [`predict`] is the pipeline that every request goes through, with [`engine`], the network, and
//! [`digits_picture`], which normalizes pictures. [`loader`] brings checkpoints in, and [`model`]
//! holds what is served. [`grpc`] has the codecs of the protocols, [`page`] the page to draw on.
//! [`drift`] compares the requests with the training set. [`app`] puts the parts together. The
//! crate links no libtorch and knows nothing of training.
//!
//! Where to begin: [the way of a Predict request](predict#the-way-of-a-predict-request), and
//! [the way of a hot load](loader#the-way-of-a-hot-load).

pub mod app;
pub mod config;
pub mod drift;
pub mod engine;
pub mod grpc;
pub mod loader;
pub mod metrics;
pub mod model;
pub mod model_info;
pub mod page;
pub mod predict;
pub mod trust;
