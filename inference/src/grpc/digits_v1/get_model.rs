//! `GetModel`: describes what a model serves and how its loader follows the storage.

use super::roles::role_message;
use crate::{
    metrics::LiveAccuracy,
    model::{ActiveRoute, Model, RejectedRecord, StorageFault},
};
use digits_checkpoint::messages::{checkpoint, timestamp};
use digits_proto::v1;

/// Everything about a model.
pub(super) fn response(model: &Model) -> v1::GetModelResponse {
    // The snapshot before the status: the head may then be newer than it, never older.
    let snapshot = model.snapshot().clone();
    let status = model.status().clone();
    let sequence = snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence);
    let routes = snapshot.iter().flat_map(|snapshot| snapshot.routes());
    v1::GetModelResponse {
        model: model.name.to_string(),
        served: routes
            .map(|route| served_message(route, sequence))
            .collect(),
        head_sequence: status.head_sequence,
        behind_head: status.head_sequence.saturating_sub(sequence),
        last_refusal: status.last_refusal.as_ref().map(refusal_message),
        refusals: status
            .refusals
            .iter()
            .map(|(&reason, &count)| (reason.to_owned(), count))
            .collect(),
        storage_read_at: status.storage_read_at.map(timestamp),
        pinned_sequence: status.pinned_sequence,
        storage_faults: status.storage_faults.iter().map(fault_message).collect(),
    }
}

fn served_message(route: &ActiveRoute, sequence: u64) -> v1::ServedCheckpoint {
    v1::ServedCheckpoint {
        checkpoint: Some(checkpoint(&route.checkpoint.manifest)),
        sequence,
        role: role_message(route.role).into(),
        share: route.share,
        since: Some(timestamp(route.since)),
        live: route.live.accuracy().map(live_message),
    }
}

fn live_message(live: LiveAccuracy) -> v1::LiveAccuracy {
    v1::LiveAccuracy {
        outcomes: live.outcomes as u32,
        accuracy: live.ratio,
    }
}

fn fault_message(shown: &StorageFault) -> v1::StorageFault {
    v1::StorageFault {
        kind: shown.fault.kind().to_owned(),
        message: shown.fault.to_string(),
        since: Some(timestamp(shown.since)),
    }
}

fn refusal_message(rejected: &RejectedRecord) -> v1::Refusal {
    let checkpoint = rejected.checkpoint.map(|id| id.to_string());
    v1::Refusal {
        sequence: rejected.sequence,
        checkpoint_id: checkpoint.unwrap_or_default(),
        reason: rejected.refusal.reason.as_str().to_owned(),
        message: rejected.refusal.message.clone(),
        at: Some(timestamp(rejected.at)),
    }
}
