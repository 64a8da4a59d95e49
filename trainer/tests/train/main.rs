//! The training loop without the service: its results compared with PyTorch's, and how it stops,
//! resumes and fails.
//!
//! The tests share one process and run in parallel threads. libtorch's number of threads does not
//! pass from one test to another: `train::run` sets it for the thread that calls it, to one for
//! networks as small as these, and the bytes of a training are the same whatever else runs.
#![allow(clippy::unwrap_used)]

mod augmentation;
mod notebook;
mod precision;
mod presets;
mod reference;
mod reference_beyond;
mod reference_support;
mod resume;
mod run;
mod support;
