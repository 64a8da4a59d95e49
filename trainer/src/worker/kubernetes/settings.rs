//! How the Jobs of workers are made.

use super::template::Template;
use std::time::Duration;

/// How the Jobs of workers are made.
#[derive(Clone, Debug)]
pub struct JobSettings {
    /// Template of the pods of jobs on the CPU.
    pub template: Template,
    /// Template of the pods of jobs on a GPU.
    pub gpu_template: Option<Template>,
    /// Namespace; that of the trainer's own pod or of its kubeconfig where it is not set.
    pub namespace: Option<String>,
    /// StatefulSet that owns the Jobs, which are deleted with it.
    pub owner: Option<String>,
    /// Kueue's local queue.
    pub queue: Option<String>,
    /// How long a Job is kept once its outcome is recorded.
    pub time_to_live: Duration,
}
