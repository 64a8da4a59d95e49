//! Automatic promotion: preferences of the policies, holds, and no second promotion.

use super::support::{draft, memory, published};
use digits_checkpoint::{
    Storage,
    id::{CheckpointId, ModelName},
    manifest::{Evaluation, Manifest},
    publish,
    record::{Reason, Role},
    serving::{
        Candidate, Decision, Policy, PromotionRules, head, list, promote, promote_published,
        record, release, rollback,
    },
};

fn digits() -> ModelName {
    ModelName::default()
}

async fn automatic(storage: &Storage, manifest: &Manifest, policy: Policy) -> Option<u64> {
    let decision = decide(storage, manifest, policy.into()).await;
    let promoted = record(storage, &digits(), decision.sequence).await.unwrap();
    assert_eq!(promoted.is_some(), decision.not_promoted.is_none());
    promoted.map(|record| {
        assert_eq!(
            (record.primary(), record.reason),
            (Some(manifest.id), Reason::Published)
        );
        assert!(!record.hold);
        record.sequence
    })
}

async fn decide(storage: &Storage, manifest: &Manifest, rules: PromotionRules) -> Decision {
    promote_published(storage, manifest, rules, "job")
        .await
        .unwrap()
}

#[tokio::test]
async fn the_latest_checkpoint_is_promoted_once() {
    let (storage, _) = memory();
    let (old, new) = (published(&storage, 60).await, published(&storage, 0).await);
    let older = published(&storage, 30).await;
    assert_eq!(automatic(&storage, &old, Policy::Manual).await, None);
    assert_eq!(automatic(&storage, &old, Policy::Latest).await, Some(1));
    assert_eq!(
        automatic(&storage, &old, Policy::Latest).await,
        Some(1),
        "again"
    );
    assert_eq!(automatic(&storage, &new, Policy::Latest).await, Some(2));
    assert_eq!(
        automatic(&storage, &old, Policy::Latest).await,
        Some(1),
        "long ago"
    );
    assert_eq!(
        automatic(&storage, &older, Policy::Latest).await,
        None,
        "overtaken"
    );
    assert_eq!(list(&storage, &digits()).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn a_hold_stops_promotion_until_release() {
    let (storage, _) = memory();
    let bad = published(&storage, 60).await;
    let first = published(&storage, 90).await;
    automatic(&storage, &first, Policy::Latest).await;
    automatic(&storage, &bad, Policy::Latest).await;
    rollback(&storage, &digits(), 2, 0, "operator")
        .await
        .unwrap();
    let new = published(&storage, 0).await;
    for policy in [Policy::Latest, Policy::IfBetter] {
        assert_eq!(automatic(&storage, &new, policy).await, None);
    }
    release(&storage, &digits(), 3, "operator").await.unwrap();
    // The rolled-back checkpoint is not promoted again; the next one is.
    assert_eq!(automatic(&storage, &bad, Policy::Latest).await, Some(2));
    assert_eq!(
        head(&storage, &digits()).await.unwrap().unwrap().sequence,
        4
    );
    assert_eq!(automatic(&storage, &new, Policy::Latest).await, Some(5));
}

#[tokio::test]
async fn a_checkpoint_promoted_by_an_operator_is_not_promoted_again() {
    let (storage, _) = memory();
    let manifest = published(&storage, 0).await;
    let candidate = Candidate {
        checkpoint: manifest.id,
        role: Role::Primary,
        share: None,
    };
    promote(&storage, &digits(), 0, candidate, "")
        .await
        .unwrap();
    release(&storage, &digits(), 1, "").await.unwrap();
    assert_eq!(automatic(&storage, &manifest, Policy::Latest).await, None);
}

#[tokio::test]
async fn any_checkpoint_replaces_a_deleted_primary() {
    let (storage, store) = memory();
    let (old, new) = (published(&storage, 60).await, published(&storage, 90).await);
    automatic(&storage, &old, Policy::Latest).await;
    let key = format!("a/prefix/checkpoints/{}/manifest.json", old.id);
    object_store::ObjectStoreExt::delete(store.as_ref(), &key.into())
        .await
        .unwrap();
    assert_eq!(automatic(&storage, &new, Policy::IfBetter).await, Some(2));
}

#[tokio::test]
async fn better_means_more_correct_then_lower_loss_on_the_same_images() {
    let evaluation = |images, correct, loss| {
        Some(Evaluation {
            images,
            correct,
            loss,
            loss_batch_mean: loss,
            batch_size: 10,
        })
    };
    type Change = fn(&mut Manifest);
    let cases: [(&str, Option<Evaluation>, Change, bool); 9] = [
        ("more right", evaluation(100, 91, 9.0), |_| (), true),
        ("less right", evaluation(100, 89, 0.1), |_| (), false),
        ("less loss", evaluation(100, 90, 0.4), |_| (), true),
        ("as good", evaluation(100, 90, 0.5), |_| (), false),
        ("no loss", evaluation(100, 90, f64::NAN), |_| (), false),
        (
            "other number of images",
            evaluation(1000, 990, 0.1),
            |_| (),
            false,
        ),
        ("never validated", None, |_| (), false),
        (
            "other data",
            evaluation(100, 99, 0.1),
            |new| new.lineage.dataset_digest = "x".into(),
            false,
        ),
        (
            "other split",
            evaluation(100, 99, 0.1),
            |new| new.lineage.split_digest = "x".into(),
            false,
        ),
    ];
    let current = draft(CheckpointId::generate(), 1, 60).manifest;
    let prefers = |policy: Policy, new: &Manifest| {
        let rules = PromotionRules::from(policy);
        rules.objection(new, &current, 1).is_none()
    };
    for (name, validation, change, expected) in cases {
        let mut new = draft(CheckpointId::generate(), 1, 0).manifest;
        new.metrics.validation = validation;
        change(&mut new);
        assert_eq!(prefers(Policy::IfBetter, &new), expected, "{name}");
        assert!(prefers(Policy::Latest, &new), "{name}");
    }
    let mut relabelled = draft(CheckpointId::generate(), 1, 0).manifest;
    relabelled.metrics.validation = evaluation(100, 99, 0.1);
    relabelled.labels.reverse();
    assert!(!prefers(Policy::IfBetter, &relabelled));

    let (storage, _) = memory();
    let current = published(&storage, 60).await;
    automatic(&storage, &current, Policy::IfBetter).await;
    for (correct, promoted) in [(90, None), (95, Some(2)), (93, None), (96, Some(3))] {
        let mut draft = draft(CheckpointId::generate(), 1, 0);
        draft.manifest.metrics.validation = evaluation(100, correct, 0.5);
        let manifest = publish(&storage, draft).await.unwrap();
        assert_eq!(
            automatic(&storage, &manifest, Policy::IfBetter).await,
            promoted,
            "{correct}"
        );
    }
}
