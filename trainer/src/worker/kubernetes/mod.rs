//! Workers as pods of a Kubernetes cluster: one Job per attempt.
//!
//! The Job is created after the attempt is recorded, under a name that follows from it, so that no
//! attempt can have two. The cluster schedules, queues and preempts it. The trainer watches Jobs and
//! pods only to say why a worker does not run and to learn that one is gone: what it has done is in
//! its reports on the storage.

mod cluster;
mod error;
mod jobs;
mod manifest;
mod observe;
mod settings;
mod sweep;
mod template;

pub(super) use error::ClusterError;
pub(super) use jobs::Jobs;
pub use settings::JobSettings;
pub use template::{Template, TemplateError};
