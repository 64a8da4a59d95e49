//! What a record lets serve beside its primary. No candidate keeps the primary out: one that is refused is left out for good,
//! one that cannot be read yet is looked for again.

use super::{Failure, Loader, refused};
use crate::model::{ActiveRoute, LoadedModel, ServingSnapshot};
use digits_checkpoint::{
    Refusal, RefusalReason, StorageError,
    record::{Role, Route, ServingRecord},
};

impl Loader {
    /// The candidates of a record that can serve beside `primary`, and why one of the others could not be read.
    pub(super) async fn candidates(
        &mut self,
        record: &ServingRecord,
        primary: &ActiveRoute,
        before: Option<&ServingSnapshot>,
    ) -> (Vec<ActiveRoute>, Option<StorageError>) {
        // Refusals are told and counted once, also where the record is looked at again.
        let told = self.refused_records.contains(&record.sequence);
        let mut others: Vec<ActiveRoute> = Vec::new();
        let mut missing = None;
        let is_other = |route: &&Route| route.role != Role::Primary;
        for route in record.routes.iter().filter(is_other) {
            match self.load(record, route, before).await {
                Ok(served) => match beside(&primary.checkpoint, &served.checkpoint) {
                    Ok(()) => others.push(served),
                    Err(refusal) if !told => {
                        self.note_refusal(refused(
                            record.sequence,
                            Some(route.checkpoint),
                            refusal,
                        ));
                        // Nothing is wrong with it by itself.
                        self.refused.remove(&route.checkpoint);
                    }
                    Err(_) => {}
                },
                Err(Failure::Refused(refused)) if !told => self.note_refusal(refused),
                Err(Failure::Refused(_)) => {}
                Err(Failure::Unavailable(error)) => missing = Some(error),
            }
        }
        (others, missing)
    }
}

/// A request is read once and answered by any of the routes: they must take and give the same.
fn beside(primary: &LoadedModel, candidate: &LoadedModel) -> Result<(), Refusal> {
    let (primary, candidate) = (&primary.manifest, &candidate.manifest);
    if primary.input == candidate.input && primary.labels == candidate.labels {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalReason::Manifest,
        "its inputs or labels are not those of the primary beside it",
    ))
}
