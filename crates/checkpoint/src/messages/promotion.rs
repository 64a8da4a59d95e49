//! Converts decisions about promotions into messages of `digits.v1`, and back.

use crate::{
    id::{CheckpointId, InvalidId},
    serving::{Decision, NotPromoted, PreviousPrimary},
};
use digits_proto::v1::{self, NotPromotedReason as Reason};

/// Converts the decision about the checkpoint `id`.
#[must_use]
pub fn promotion(id: CheckpointId, from: &Decision) -> v1::PromotionDecision {
    v1::PromotionDecision {
        checkpoint_id: id.to_string(),
        sequence: from.sequence,
        not_promoted: from.not_promoted.map_or(Reason::Unspecified, reason).into(),
        explanation: from.explanation.clone(),
        accuracy: from.accuracy,
        before: from.before.as_ref().map(previous_primary),
    }
}

/// Converts a previous primary.
#[must_use]
pub fn previous_primary(from: &PreviousPrimary) -> v1::PreviousPrimary {
    v1::PreviousPrimary {
        sequence: from.sequence,
        checkpoint_id: from.checkpoint.to_string(),
        accuracy: from.accuracy,
        dataset: from.dataset.clone(),
        job_id: from.job.clone(),
    }
}

/// The decision of a message. A reason that this version does not know is as unset.
///
/// # Errors
/// When an id is not one.
pub fn decision(from: v1::PromotionDecision) -> Result<Decision, InvalidId> {
    let reason = from.not_promoted();
    Ok(Decision {
        sequence: from.sequence,
        not_promoted: NotPromoted::ALL
            .into_iter()
            .find(|&known| self::reason(known) == reason),
        explanation: from.explanation,
        accuracy: from.accuracy,
        before: from
            .before
            .map(|before| {
                Ok(PreviousPrimary {
                    sequence: before.sequence,
                    checkpoint: before.checkpoint_id.parse()?,
                    accuracy: before.accuracy,
                    dataset: before.dataset,
                    job: before.job_id,
                })
            })
            .transpose()?,
    })
}

fn reason(from: NotPromoted) -> Reason {
    match from {
        NotPromoted::Manual => Reason::Manual,
        NotPromoted::Hold => Reason::Hold,
        NotPromoted::Serving => Reason::Serving,
        NotPromoted::Older => Reason::Older,
        NotPromoted::NotBetter => Reason::NotBetter,
        NotPromoted::OtherData => Reason::OtherData,
        NotPromoted::Guard => Reason::Guard,
        NotPromoted::Unreadable => Reason::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_read_back() {
        let id = CheckpointId::generate();
        let before = PreviousPrimary {
            sequence: 3,
            checkpoint: CheckpointId::generate(),
            accuracy: Some(0.982),
            dataset: "mnist".to_owned(),
            job: "j".to_owned(),
        };
        let reasons = NotPromoted::ALL.into_iter().map(Some);
        for not_promoted in reasons.chain([None]) {
            let from = Decision {
                sequence: 4,
                not_promoted,
                explanation: "so".to_owned(),
                accuracy: None,
                before: not_promoted.map(|_| before.clone()),
            };
            let message = promotion(id, &from);
            assert_eq!(message.checkpoint_id, id.to_string());
            assert_eq!(decision(message), Ok(from));
        }
    }
}
