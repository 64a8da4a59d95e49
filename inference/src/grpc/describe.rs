//! What is served, as messages for `GetModel`.

use super::answer::role_message;
use crate::model::{ActiveRoute, Model, Refused};
use digits_checkpoint::messages::{checkpoint, timestamp};
use digits_proto::v1;

/// Everything about a model.
pub(super) fn model(model: &Model) -> v1::GetModelResponse {
    // What is served before the status: the head may be newer than what is served, never older.
    let serving = model.serving().clone();
    let status = model.status().clone();
    let sequence = serving.as_ref().map_or(0, |serving| serving.sequence);
    let all = serving.iter().flat_map(|serving| serving.all());
    v1::GetModelResponse {
        model: model.name.to_string(),
        served: all.map(|served| served_message(served, sequence)).collect(),
        head_sequence: status.head_sequence,
        behind_head: status.head_sequence.saturating_sub(sequence),
        last_refusal: status.last_refusal.as_ref().map(refusal),
        refusals: status
            .refusals
            .iter()
            .map(|(&reason, &count)| (reason.to_owned(), count))
            .collect(),
        storage_read_at: status.storage_read_at.map(timestamp),
        pinned_sequence: status.pinned_sequence,
    }
}

fn served_message(served: &ActiveRoute, sequence: u64) -> v1::ServedCheckpoint {
    v1::ServedCheckpoint {
        checkpoint: Some(checkpoint(&served.checkpoint.manifest)),
        sequence,
        role: role_message(served.role).into(),
        share: served.share,
        since: Some(timestamp(served.since)),
    }
}

fn refusal(refused: &Refused) -> v1::Refusal {
    v1::Refusal {
        sequence: refused.sequence,
        checkpoint_id: refused
            .checkpoint
            .map(|id| id.to_string())
            .unwrap_or_default(),
        reason: refused.refusal.reason.as_str().to_owned(),
        message: refused.refusal.message.clone(),
        at: Some(timestamp(refused.at)),
    }
}
