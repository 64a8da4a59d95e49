//! The routes of a serving record, swapped as one value.

use super::loaded::LoadedModel;
use crate::{
    drift::Tally,
    metrics::{Live, RoleLabel, RoleMetrics, ServedGauges},
};
use digits_checkpoint::{id::CheckpointId, record::Role};
use jiff::Timestamp;
use std::sync::Arc;

/// A checkpoint in a role.
pub struct ActiveRoute {
    /// The checkpoint.
    pub checkpoint: Arc<LoadedModel>,
    /// Its role.
    pub role: Role,
    /// Its share of the requests.
    pub share: f64,
    /// When this process began to serve it in this role.
    pub since: Timestamp,
    /// Sequence of the record with which this process began to serve it in this role.
    pub since_sequence: u64,
    /// Metrics of its predictions.
    pub metrics: Arc<RoleMetrics>,
    /// Counts of the classified images, for drift.
    pub tally: Arc<Tally>,
    /// Outcomes that callers reported of its predictions.
    pub live: Arc<Live>,
    /// Gauges that describe it.
    pub gauges: ServedGauges,
}

impl From<Role> for RoleLabel {
    fn from(role: Role) -> Self {
        match role {
            Role::Primary => Self::Primary,
            Role::Canary => Self::Canary,
            Role::Shadow => Self::Shadow,
        }
    }
}

/// Snapshot of what a model serves. A request reads it once.
pub struct ServingSnapshot {
    /// Sequence of the serving record: the version of the model.
    pub sequence: u64,
    /// The route of all requests that no canary gets.
    pub primary: ActiveRoute,
    /// Canaries and shadows of the record that could be loaded.
    pub candidates: Vec<ActiveRoute>,
}

impl ServingSnapshot {
    /// All routes, the primary first.
    pub fn routes(&self) -> impl Iterator<Item = &ActiveRoute> {
        std::iter::once(&self.primary).chain(&self.candidates)
    }

    /// Candidates that compute the requests too, and never respond.
    pub fn shadows(&self) -> impl Iterator<Item = &ActiveRoute> {
        self.candidates
            .iter()
            .filter(|candidate| candidate.role == Role::Shadow)
    }

    /// The checkpoint with this id, if it is served.
    #[must_use]
    pub fn checkpoint(&self, id: CheckpointId) -> Option<&Arc<LoadedModel>> {
        self.routes()
            .map(|route| &route.checkpoint)
            .find(|checkpoint| checkpoint.manifest.id == id)
    }
}
