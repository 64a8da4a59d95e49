//! A claimed job with everything that its training and its output need.

use super::{outage::Outages, output::Output, running::RunningJob, services::TrainingServices};
use crate::{job::JobId, spec::JobPlan, wire::LineageSpec};
use digits_dataset::Dataset;
use std::sync::Arc;

/// A claimed job with everything that its training and its output need.
pub(super) struct JobRun {
    pub(super) services: TrainingServices,
    /// Where its output becomes durable.
    pub(super) output: Output,
    pub(super) job: JobId,
    /// Its display name; may be empty.
    pub(super) name: String,
    pub(super) plan: JobPlan,
    /// The spec as the manifests of the job's checkpoints hold it.
    pub(super) spec: LineageSpec,
    pub(super) data: Arc<Dataset>,
    pub(super) running: Arc<RunningJob>,
}

impl JobRun {
    /// How its writes outlast an outage.
    pub(super) fn outages(&self) -> Outages<'_> {
        let limit = self.services.max_outage;
        Outages::new(self.job, &self.running, self.output.store(), limit)
    }
}
