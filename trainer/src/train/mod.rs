//! Training of a multi-layer perceptron with libtorch.
//!
//! What a job is to do comes in as a [`Plan`] and a data set, what happens goes out through an
//! [`Observer`]. This part knows no gRPC, no async runtime, no database and no storage: it can be
//! read, tested and measured alone.
//!
//! Everything random comes from [`rng`], which draws in the order in which a PyTorch script would,
//! so that a job equals that script: the same split, the same first weights, the same order of
//! images, and on one CPU thread the same bytes at the end. libtorch's own generators are not used.
//!
//! Tensors never leave the thread that calls [`run`].

mod adamw;
mod augment;
mod average;
mod bfloat16;
mod bundle;
mod calibrate;
mod clip;
mod counter;
mod descent;
mod device;
mod draws;
mod dropout;
mod ending;
mod error;
mod exam;
mod figures;
mod fingerprint;
mod first_weights;
mod losses;
mod network;
mod observe;
mod parameters;
mod plan;
pub mod report;
mod resident;
pub mod rng;
mod run;
mod schedule;
mod setup;
mod sgd;
mod smoothing;
mod split;
mod state;
mod stopping;
mod tf32;
mod threads;
mod validation;

pub use augment::{Augmentation, preview as preview_augmentation};
pub use bundle::Bundle;
pub use device::{
    Device, DeviceError, device_of, gpus, is_auto, libtorch_version, resolve_device, settle_device,
};
pub use draws::{Beginning, Draws};
pub use error::{PublishFailed, TrainError};
pub use exam::examine;
pub use first_weights::{FirstWeights, misfits};
pub use observe::{Finished, Moment, Observer, Outcome, Row, Snapshot, Started};
pub use plan::{
    Optimizer, PIXEL_SCALE, Plan, Precision, PublishPolicy, Regularization, Schedule, Split,
    steps_per_epoch,
};
pub use run::run;
pub use split::{Division, split_sizes};
pub use threads::cores;

use run::caught;
