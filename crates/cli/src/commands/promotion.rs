//! What a job changed about what is served, or why it did not, with the commands that change it.

use crate::served::{DEFAULT_MODEL, model};
use digits_proto::v1::{
    CheckpointPublished, Job, JobState, NotPromotedReason, PreviousPrimary, PromotionDecision,
};

/// Lines about a published checkpoint: the first says whether it is served; the others, if there
/// are any, what that replaced or what to do.
pub fn published(event: &CheckpointPublished, job: &Job) -> Vec<String> {
    let id = &event.checkpoint_id;
    let head = format!("checkpoint {id} of epoch {}", event.epoch);
    let decision = event.promotion.as_ref();
    let explanation = decision.map_or("", |decision| decision.explanation.as_str());
    let mut lines = vec![match (event.sequence, explanation) {
        (0, "") => format!("{head}, not promoted"),
        (0, explanation) => format!("{head}, not promoted: {explanation}"),
        (sequence, _) => format!("{head}, serving record {sequence}"),
    }];
    match decision {
        Some(decision) if event.sequence == 0 => lines.extend(advice(decision, model(job))),
        Some(decision) => {
            // The checkpoints of one job replace each other.
            let before = decision.before.as_ref();
            let foreign = before.filter(|before| before.job_id != job.job_id);
            lines.extend(
                foreign
                    .into_iter()
                    .flat_map(|it| replaced(decision.accuracy, it, model(job))),
            );
        }
        None => {}
    }
    lines
}

/// Lines about what a job changed about what is served; none if it replaced no other job's
/// checkpoint, unless it did not get to its end.
pub fn summary(job: &Job) -> Vec<String> {
    let Some(decision) = &job.promotion else {
        return Vec::new();
    };
    let id = &decision.checkpoint_id;
    match (decision.sequence, &job.replaced) {
        (0, _) => {
            let mut lines = vec![format!(
                "checkpoint {id} is not served: {}",
                decision.explanation
            )];
            lines.extend(advice(decision, model(job)));
            lines
        }
        (sequence, before) if before.is_some() || is_unfinished(job) => {
            let stays = match is_unfinished(job) {
                true => ", stays promoted after the end of its job",
                false => "",
            };
            let mut lines = vec![format!("checkpoint {id}, serving record {sequence}{stays}")];
            let accuracy = decision.accuracy;
            lines.extend(
                before
                    .iter()
                    .flat_map(|it| replaced(accuracy, it, model(job))),
            );
            lines
        }
        _ => Vec::new(),
    }
}

/// Whether the job was cancelled, or failed.
fn is_unfinished(job: &Job) -> bool {
    job.cancel_requested || matches!(job.state(), JobState::Cancelled | JobState::Failed)
}

/// Lines about the primary of a model that a checkpoint of this accuracy replaced.
pub fn replaced(accuracy: Option<f64>, before: &PreviousPrimary, model: &str) -> [String; 2] {
    let (id, sequence) = (&before.checkpoint_id, before.sequence);
    let (new, old) = (percent(accuracy), percent(before.accuracy));
    let flag = flag(model);
    [
        format!("  replaces checkpoint {id}: accuracy {new}, before {old}"),
        format!("  to serve that one again: digits rollback --to {sequence}{flag}"),
    ]
}

fn advice(decision: &PromotionDecision, model: &str) -> Vec<String> {
    let (id, flag) = (&decision.checkpoint_id, flag(model));
    let promote = format!("  to serve it: digits promote {id}{flag}");
    match decision.not_promoted() {
        NotPromotedReason::OtherData => vec![
            promote,
            "  to train a model of its own beside it: digits train --model NAME".to_owned(),
        ],
        NotPromotedReason::Hold => vec![
            promote,
            format!("  to promote the next ones again: digits release{flag}"),
        ],
        _ => vec![promote],
    }
}

/// The flag that names a model which is not the default.
fn flag(model: &str) -> String {
    match model {
        DEFAULT_MODEL => String::new(),
        other => format!(" --model {other}"),
    }
}

fn percent(accuracy: Option<f64>) -> String {
    accuracy.map_or_else(
        || "unknown".to_owned(),
        |accuracy| format!("{:.2} %", accuracy * 100.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::v1::JobSpec;

    fn job(model: &str) -> Job {
        Job {
            job_id: "j".to_owned(),
            resolved: Some(JobSpec {
                model: Some(model.to_owned()),
                ..JobSpec::default()
            }),
            ..Job::default()
        }
    }

    fn before(job_id: &str) -> PreviousPrimary {
        PreviousPrimary {
            sequence: 3,
            checkpoint_id: "old".to_owned(),
            accuracy: Some(0.982),
            job_id: job_id.to_owned(),
            ..PreviousPrimary::default()
        }
    }

    fn decision(sequence: u64, before: PreviousPrimary) -> PromotionDecision {
        PromotionDecision {
            checkpoint_id: "new".to_owned(),
            sequence,
            accuracy: Some(0.797),
            before: Some(before),
            ..PromotionDecision::default()
        }
    }

    fn event(promotion: PromotionDecision) -> CheckpointPublished {
        CheckpointPublished {
            checkpoint_id: "new".to_owned(),
            epoch: 1,
            sequence: promotion.sequence,
            promotion: Some(promotion),
        }
    }

    #[test]
    fn a_replaced_checkpoint_is_named_with_both_accuracies_and_the_way_back() {
        let expected = |flag: &str| {
            [
                "  replaces checkpoint old: accuracy 79.70 %, before 98.20 %".to_owned(),
                format!("  to serve that one again: digits rollback --to 3{flag}"),
            ]
        };
        let digits = job("digits");
        let lines = published(&event(decision(4, before("other"))), &digits);
        assert_eq!(lines[0], "checkpoint new of epoch 1, serving record 4");
        assert_eq!(lines[1..], expected(""));
        let letters = published(&event(decision(4, before(""))), &job("letters"));
        assert_eq!(letters[1..], expected(" --model letters"));
        // The job's own checkpoint, nothing, and an older trainer.
        assert_eq!(
            published(&event(decision(4, before("j"))), &digits).len(),
            1
        );
        let first = PromotionDecision {
            before: None,
            ..decision(4, before(""))
        };
        assert_eq!(published(&event(first), &digits).len(), 1);
        let older = CheckpointPublished {
            promotion: None,
            ..event(decision(0, before("")))
        };
        assert_eq!(
            published(&older, &digits),
            ["checkpoint new of epoch 1, not promoted"]
        );
        let ended = Job {
            promotion: Some(decision(8, before("j"))),
            replaced: Some(before("other")),
            ..digits
        };
        assert_eq!(summary(&ended)[0], "checkpoint new, serving record 8");
        assert_eq!(summary(&ended)[1..], expected(""));
        let alone = Job {
            replaced: None,
            ..ended
        };
        assert!(summary(&alone).is_empty());
        let cancelled = Job {
            state: JobState::Cancelled.into(),
            ..alone
        };
        assert_eq!(
            summary(&cancelled),
            ["checkpoint new, serving record 8, stays promoted after the end of its job"]
        );
    }

    #[test]
    fn a_checkpoint_that_is_not_promoted_comes_with_the_reason_and_what_to_do() {
        let held = PromotionDecision {
            not_promoted: NotPromotedReason::OtherData.into(),
            explanation: "it was trained on letters".to_owned(),
            ..decision(0, before("other"))
        };
        let advice = [
            "  to serve it: digits promote new",
            "  to train a model of its own beside it: digits train --model NAME",
        ];
        let lines = published(&event(held.clone()), &job("digits"));
        assert_eq!(
            lines[0],
            "checkpoint new of epoch 1, not promoted: it was trained on letters"
        );
        assert_eq!(lines[1..], advice);
        let ended = Job {
            promotion: Some(held),
            ..job("digits")
        };
        let lines = summary(&ended);
        assert_eq!(
            lines[0],
            "checkpoint new is not served: it was trained on letters"
        );
        assert_eq!(lines[1..], advice);
        assert!(summary(&job("digits")).is_empty(), "nothing was published");
    }
}
