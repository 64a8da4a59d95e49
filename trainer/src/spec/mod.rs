//! Job specs: fills what a client leaves unset from presets, checks every field, and makes the plan
//! of a training.
//!
//! Works on [`JobRequest`], which `wire` makes of the message on the wire and back.

mod augmentation;
mod check;
mod fill;
mod network;
mod parent;
mod plan;
mod presets;
pub mod request;
mod resolve;
mod violation;

pub use network::network_size;
pub use plan::{JobPlan, dataset_source, plan};
pub use presets::{Preset, presets};
pub use request::JobRequest;
pub use resolve::{ResolvedJob, resolve};
pub use violation::{SpecError, Violation};

#[cfg(test)]
mod tests;
