//! A claimed job with everything that its training and its output need.

use super::{context::WorkerContext, running::RunningJob};
use crate::{job::JobId, spec::JobPlan, wire::LineageSpec};
use digits_checkpoint::serving::PromotionRules;
use digits_dataset::Dataset;
use std::sync::Arc;

/// A claimed job with everything that its training and its output need.
pub(super) struct JobRun {
    pub(super) context: WorkerContext,
    pub(super) job: JobId,
    /// Its display name; may be empty.
    pub(super) name: String,
    pub(super) plan: JobPlan,
    /// Rules by which its checkpoints are promoted.
    pub(super) rules: PromotionRules,
    /// The spec as the manifests of the job's checkpoints hold it.
    pub(super) spec: LineageSpec,
    pub(super) data: Arc<Dataset>,
    pub(super) running: Arc<RunningJob>,
}
