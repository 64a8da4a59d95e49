//! Decisions about promotion: what a checkpoint may replace, the operator's guard, what is recorded.

use super::support::{draft, memory, published};
use digits_checkpoint::{
    Storage,
    id::CheckpointId,
    manifest::{Evaluation, Manifest},
    publish,
    serving::{
        Decision, NotPromoted, Policy, PreviousPrimary, PromotionRules, Scope, promote_published,
        rollback,
    },
};

const SAME_DATA: PromotionRules = PromotionRules {
    policy: Policy::Latest,
    scope: Scope::SameData,
    guard: None,
};

async fn decide(storage: &Storage, manifest: &Manifest, rules: PromotionRules) -> Decision {
    promote_published(storage, manifest, rules, "job j")
        .await
        .unwrap()
}

/// Publishes a new checkpoint, changed.
async fn changed(storage: &Storage, change: impl FnOnce(&mut Manifest)) -> Manifest {
    let mut draft = draft(CheckpointId::generate(), 1, 0);
    draft.manifest.lineage.dataset = "mnist".into();
    draft.manifest.lineage.job = Some("j".into());
    change(&mut draft.manifest);
    publish(storage, draft).await.unwrap()
}

fn correct(manifest: &mut Manifest, correct: u64) {
    manifest.metrics.validation = Some(Evaluation {
        images: 1000,
        correct,
        loss: 0.5,
        loss_batch_mean: 0.5,
        batch_size: 10,
    });
}

#[tokio::test]
async fn a_job_without_a_model_never_replaces_a_checkpoint_of_other_data() {
    type Change = fn(&mut Manifest);
    let cases: [(Change, Option<&str>); 8] = [
        (|_| (), None),
        (
            |new| {
                new.lineage.dataset = "letters".into();
                new.lineage.dataset_digest = "l".into();
            },
            Some(
                "it was trained on the data set letters, and the model digits serves a checkpoint trained on mnist",
            ),
        ),
        // A data set that has grown, and one under another name.
        (|new| new.lineage.dataset_digest = "grown".into(), None),
        (|new| new.lineage.dataset = "copy".into(), None),
        (|new| new.lineage.dataset = String::new(), None),
        (
            |new| new.labels[0] = "zero".into(),
            Some(
                "its labels differ from those of the checkpoint that the model digits serves: \"zero\" in place of \"0\"",
            ),
        ),
        (
            |new| (new.input.height, new.input.width) = (3, 2),
            Some(
                "it takes images of 3×2 pixels, and the checkpoint that the model digits serves takes 2×3",
            ),
        ),
        (|new| new.input.mean = 0.5, None),
    ];
    for (change, explanation) in cases {
        let (storage, _) = memory();
        let first = changed(&storage, |_| ()).await;
        assert_eq!(decide(&storage, &first, SAME_DATA).await.sequence, 1);
        let new = changed(&storage, change).await;
        let before = Some(PreviousPrimary {
            sequence: 1,
            checkpoint: first.id,
            accuracy: Some(0.9),
            dataset: "mnist".into(),
            job: "j".into(),
        });
        let decision = decide(&storage, &new, SAME_DATA).await;
        let expected = Decision {
            sequence: if explanation.is_none() { 2 } else { 0 },
            not_promoted: explanation.map(|_| NotPromoted::OtherData),
            explanation: explanation.unwrap_or_default().to_owned(),
            accuracy: Some(0.9),
            before,
        };
        assert_eq!(decision, expected);
        // Repeated, as after a crash.
        assert_eq!(decide(&storage, &new, SAME_DATA).await, expected);
        // A job that names the model replaces it.
        let named = decide(&storage, &new, Policy::Latest.into()).await;
        assert_eq!(named.sequence, 2);
    }
}

#[tokio::test]
async fn the_first_checkpoint_of_a_model_is_promoted_whatever_the_rules() {
    let (storage, _) = memory();
    let rules = PromotionRules {
        guard: Some(0.0),
        ..SAME_DATA
    };
    let first = changed(&storage, |first| correct(first, 0)).await;
    let decision = decide(&storage, &first, rules).await;
    assert_eq!((decision.sequence, decision.before), (1, None));
}

#[tokio::test]
async fn the_guard_holds_back_what_is_clearly_worse() {
    let guard = |guard| PromotionRules {
        guard: Some(guard),
        ..PromotionRules::default()
    };
    let (storage, _) = memory();
    let first = changed(&storage, |first| correct(first, 982)).await;
    decide(&storage, &first, guard(0.02)).await;
    let worse = changed(&storage, |worse| correct(worse, 961)).await;
    let decision = decide(&storage, &worse, guard(0.02)).await;
    assert_eq!(decision.not_promoted, Some(NotPromoted::Guard));
    let id = first.id;
    assert_eq!(
        decision.explanation,
        format!(
            "its accuracy of 96.10 % is more than the promotion guard of 2.00 points below the 98.20 % of the \
             checkpoint {id}, which serves"
        )
    );
    // Exactly as far below, not measured, and better.
    let mut sequence = 1;
    let close = changed(&storage, |close| correct(close, 962)).await;
    let unknown = changed(&storage, |unknown| unknown.metrics.validation = None).await;
    for manifest in [close, unknown, first] {
        let rules = guard(0.02);
        let decision = decide(&storage, &manifest, rules).await;
        if manifest.id == id {
            assert_eq!(decision.sequence, 1, "promoted long ago");
        } else {
            sequence += 1;
            assert_eq!(decision.sequence, sequence, "{decision:?}");
        }
    }
}

#[tokio::test]
async fn a_repeated_decision_names_what_was_replaced_then() {
    let (storage, _) = memory();
    let (old, new) = (published(&storage, 60).await, published(&storage, 0).await);
    for manifest in [&old, &new] {
        decide(&storage, manifest, Policy::Latest.into()).await;
    }
    rollback(&storage, &new.model, 2, 0, "operator")
        .await
        .unwrap();
    let again = decide(&storage, &new, Policy::Latest.into()).await;
    let before = again.before.expect("replaced");
    assert_eq!((again.sequence, before.sequence), (2, 1));
    assert_eq!(before.checkpoint, old.id);
    // The hold of the rollback, and what it serves.
    let newest = published(&storage, 0).await;
    let held = decide(&storage, &newest, Policy::Latest.into()).await;
    assert_eq!(held.not_promoted, Some(NotPromoted::Hold));
    assert_eq!(
        held.explanation,
        "the serving record 3 of the model digits holds automatic promotion"
    );
    assert_eq!(held.before.map(|before| before.sequence), Some(3));
}
