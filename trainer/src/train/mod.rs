//! Training of a multi-layer perceptron with libtorch.
//!
//! [`run`] takes a [`Plan`] and a data set, and reports rows of the curves, snapshots and resume
//! bundles to an [`Observer`]. This module knows no gRPC, async runtime, database or storage: it
//! can be read, tested and measured alone.
//!
//! All random numbers are drawn by [`mt19937`] in the order in which a PyTorch script draws them,
//! so that a job equals that script: the same split, initial weights and order of images, and on
//! one CPU thread the same bytes at the end. Augmentation and dropout, which a script would draw
//! from the same stream, draw from Philox instead. libtorch's own generators are not used.
//!
//! Tensors never leave the thread that calls [`run`].

mod adamw;
mod augment;
mod bfloat16;
mod bundle;
mod cpu_network;
mod dataset_stats;
mod device;
mod device_images;
mod dropout;
mod early_stopping;
mod epoch_end;
mod error;
mod exam;
mod fingerprint;
mod gradient_clipping;
mod initial_weights;
mod label_smoothing;
mod loss_log;
mod lr_schedule;
pub mod mt19937;
mod network;
mod observer;
mod optimizer;
mod parameters;
mod philox;
mod plan;
pub mod report;
mod rng_streams;
mod run;
mod sgd;
mod split;
mod state;
mod temperature;
mod tf32;
mod threads;
mod training;
mod validation;
mod weight_average;

pub use augment::{Augmentation, preview as preview_augmentation};
pub use bundle::Bundle;
pub use device::{
    Device, fix_device, gpus, is_auto, libtorch_version, resolve_device, run_elsewhere,
    worker_device,
};
pub use error::{PublishFailed, TrainError};
pub use exam::make_exam;
pub use initial_weights::{InitialWeights, misfits};
pub use observer::{BundlePoint, Finished, Observer, Outcome, Row, Snapshot, Started};
pub use plan::{
    AdamWOptions, Optimizer, PIXEL_SCALE, Plan, Precision, PublishPolicy, Regularization, Schedule,
    SgdOptions, Split, steps_per_epoch,
};
pub use rng_streams::{InitialDraws, RngStream};
pub use run::run;
pub use split::{SplitIndices, split_sizes};
pub use threads::cores;
