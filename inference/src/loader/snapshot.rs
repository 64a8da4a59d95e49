//! Assembles the snapshot of a serving record from its loaded routes.

use crate::model::{ActiveRoute, LoadedModel, Model, ServingSnapshot};
use digits_checkpoint::{
    Refusal, RefusalReason,
    record::{Route, ServingRecord},
};
use std::sync::Arc;

/// A snapshot with a primary, to which candidates are added.
pub struct SnapshotBuilder<'a> {
    model: &'a Model,
    record: &'a ServingRecord,
    /// What is served now: routes that stay keep their metrics.
    current: Option<&'a ServingSnapshot>,
    snapshot: ServingSnapshot,
}

impl<'a> SnapshotBuilder<'a> {
    /// The snapshot of `record` with its primary, the `route` with the checkpoint `loaded`.
    #[must_use]
    pub fn new(
        model: &'a Model,
        record: &'a ServingRecord,
        current: Option<&'a ServingSnapshot>,
        (route, loaded): (&Route, Arc<LoadedModel>),
    ) -> Self {
        let snapshot = ServingSnapshot {
            sequence: record.sequence,
            primary: model.route_entry(loaded, (record.sequence, route), current),
            candidates: Vec::new(),
        };
        Self {
            model,
            record,
            current,
            snapshot,
        }
    }

    /// Adds a canary or a shadow.
    ///
    /// # Errors
    ///
    /// When it takes other inputs or has other labels than the primary: a request is decoded once
    /// and computed by any of the routes.
    pub fn add_candidate(
        &mut self,
        route: &Route,
        loaded: Arc<LoadedModel>,
    ) -> Result<(), Refusal> {
        let primary = &self.snapshot.primary.checkpoint.manifest;
        let candidate = &loaded.manifest;
        if primary.input != candidate.input || primary.labels != candidate.labels {
            return Err(Refusal::new(
                RefusalReason::Manifest,
                "its inputs or labels differ from those of the primary",
            ));
        }
        let entry = (self.record.sequence, route);
        let candidate: ActiveRoute = self.model.route_entry(loaded, entry, self.current);
        self.snapshot.candidates.push(candidate);
        Ok(())
    }

    /// The snapshot; `None` if it is what is served already, which happens when candidates that
    /// could not be read are tried again.
    #[must_use]
    pub fn build(self) -> Option<ServingSnapshot> {
        let Self {
            current, snapshot, ..
        } = self;
        let is_served = current.is_some_and(|current| {
            current.sequence == snapshot.sequence
                && Arc::ptr_eq(&current.primary.checkpoint, &snapshot.primary.checkpoint)
                && current.candidates.len() == snapshot.candidates.len()
        });
        (!is_served).then_some(snapshot)
    }
}
