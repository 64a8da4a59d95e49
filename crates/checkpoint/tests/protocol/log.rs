//! Operator changes to the serving log.

use super::support::{Fault, memory, published};
use digits_checkpoint::{
    Storage,
    id::{CheckpointId, ModelName},
    manifest::Manifest,
    record::{Reason, Role, Route, ServingRecord},
    serving::{
        self, AppendError, Candidate, Policy, PromotionError, Proposal, append, drop_candidates,
        head, list, promote, promote_published, release, rollback,
    },
};
use object_store::{ObjectStoreExt as _, path::Path};

fn digits() -> ModelName {
    ModelName::default()
}

fn candidate(checkpoint: CheckpointId, role: Role, share: Option<f64>) -> Candidate {
    Candidate {
        checkpoint,
        role,
        share,
    }
}

async fn serve(storage: &Storage, expected: u64, id: CheckpointId) -> ServingRecord {
    let primary = candidate(id, Role::Primary, None);
    promote(storage, &digits(), expected, primary, "test")
        .await
        .unwrap()
}

fn shares(record: &ServingRecord) -> Vec<(CheckpointId, Role, f64)> {
    record
        .routes
        .iter()
        .map(|route| (route.checkpoint, route.role, route.share))
        .collect()
}

fn refused(result: Result<ServingRecord, AppendError>) -> PromotionError {
    match result {
        Err(AppendError::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

fn lost_to(result: Result<ServingRecord, AppendError>) -> u64 {
    match result {
        Err(AppendError::Lost { head }) => head.sequence,
        other => panic!("{other:?}"),
    }
}

/// A storage with two checkpoints, the first of which serves.
async fn two() -> (Storage, Manifest, Manifest) {
    let (storage, _) = memory();
    let (old, new) = (published(&storage, 60).await, published(&storage, 0).await);
    serve(&storage, 0, old.id).await;
    (storage, old, new)
}

#[tokio::test]
async fn records_count_up_from_one() {
    let (storage, _) = memory();
    assert_eq!(head(&storage, &digits()).await.unwrap(), None);
    assert!(list(&storage, &digits()).await.unwrap().is_empty());
    let id = published(&storage, 0).await.id;
    for expected in 0..12 {
        let record = serve(&storage, expected, id).await;
        assert_eq!(record.sequence, expected + 1);
        assert!(record.hold);
        assert_eq!(head(&storage, &digits()).await.unwrap(), Some(record));
    }
    assert_eq!(
        list(&storage, &digits()).await.unwrap(),
        (1..=12).collect::<Vec<_>>()
    );
    assert_eq!(
        serving::record(&storage, &digits(), 13).await.unwrap(),
        None
    );
    let other: ModelName = "other".parse().unwrap();
    assert_eq!(head(&storage, &other).await.unwrap(), None);
}

#[tokio::test]
async fn a_stale_expected_sequence_loses() {
    let (storage, old, new) = two().await;
    serve(&storage, 1, new.id).await;
    for expected in [0, 1] {
        let primary = candidate(old.id, Role::Primary, None);
        assert_eq!(
            lost_to(promote(&storage, &digits(), expected, primary, "").await),
            2
        );
        assert_eq!(
            lost_to(rollback(&storage, &digits(), expected, 0, "").await),
            2
        );
        assert_eq!(lost_to(release(&storage, &digits(), expected, "").await), 2);
    }
    // A sequence that does not exist cannot be followed: the log has no gaps.
    let primary = candidate(old.id, Role::Primary, None);
    for expected in [3, 100, u64::MAX] {
        let unknown = PromotionError::UnknownRecord(expected);
        assert_eq!(
            refused(promote(&storage, &digits(), expected, primary, "").await),
            unknown
        );
        assert_eq!(
            refused(release(&storage, &digits(), expected, "").await),
            unknown
        );
    }
    for expected in [3, u64::MAX] {
        let proposal = Proposal {
            routes: vec![Route {
                checkpoint: old.id,
                role: Role::Primary,
                share: 1.0,
                manifest_sha256: None,
            }],
            hold: false,
            reason: Reason::Promoted,
            by: String::new(),
            note: None,
        };
        let unknown = PromotionError::UnknownRecord(expected);
        assert_eq!(
            refused(append(&storage, &digits(), expected, proposal).await),
            unknown
        );
    }
    assert_eq!(list(&storage, &digits()).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn canaries_and_shadows_are_added_to_the_primary() {
    let (storage, old, new) = two().await;
    let third = published(&storage, 0).await;
    let canary = candidate(new.id, Role::Canary, Some(0.25));
    let record = promote(&storage, &digits(), 1, canary, "").await.unwrap();
    let mut expected = vec![(old.id, Role::Primary, 0.75), (new.id, Role::Canary, 0.25)];
    assert_eq!(shares(&record), expected);

    let shadow = candidate(third.id, Role::Shadow, None);
    let record = promote(&storage, &digits(), 2, shadow, "").await.unwrap();
    expected.push((third.id, Role::Shadow, 0.0));
    assert_eq!(shares(&record), expected);

    // Another share for the canary; then the shadow takes its place.
    let canary = candidate(new.id, Role::Canary, Some(0.5));
    let record = promote(&storage, &digits(), 3, canary, "").await.unwrap();
    let expected = [
        (old.id, Role::Primary, 0.5),
        (third.id, Role::Shadow, 0.0),
        (new.id, Role::Canary, 0.5),
    ];
    assert_eq!(shares(&record), expected);
    let canary = candidate(third.id, Role::Canary, Some(0.1));
    let record = promote(&storage, &digits(), 4, canary, "").await.unwrap();
    assert_eq!(
        shares(&record),
        [(old.id, Role::Primary, 0.9), (third.id, Role::Canary, 0.1)]
    );

    let record = drop_candidates(&storage, &digits(), 5, "").await.unwrap();
    assert_eq!(shares(&record), [(old.id, Role::Primary, 1.0)]);
    assert!(record.hold);
    let none = refused(drop_candidates(&storage, &digits(), 6, "").await);
    assert_eq!(none, PromotionError::NoCandidates);
    assert_eq!(
        lost_to(drop_candidates(&storage, &digits(), 5, "").await),
        6
    );

    let record = serve(&storage, 6, third.id).await;
    assert_eq!(shares(&record), [(third.id, Role::Primary, 1.0)]);
}

#[tokio::test]
async fn impossible_candidates_are_refused_by_field() {
    let (storage, old, new) = two().await;
    let cases = [
        (candidate(new.id, Role::Canary, None), "share"),
        (candidate(new.id, Role::Canary, Some(0.0)), "share"),
        (candidate(new.id, Role::Canary, Some(1.0)), "share"),
        (candidate(new.id, Role::Canary, Some(f64::NAN)), "share"),
        (candidate(new.id, Role::Primary, Some(0.5)), "share"),
        (candidate(new.id, Role::Shadow, Some(0.0)), "share"),
        (candidate(old.id, Role::Canary, Some(0.5)), "checkpoint_id"),
        (candidate(old.id, Role::Shadow, None), "checkpoint_id"),
    ];
    for (case, field) in cases {
        match refused(promote(&storage, &digits(), 1, case, "").await) {
            PromotionError::Candidate { field: named, .. } => assert_eq!(named, field, "{case:?}"),
            other => panic!("{case:?}: {other}"),
        }
    }
    let unknown_id = CheckpointId::generate();
    let unknown = promote(
        &storage,
        &digits(),
        1,
        candidate(unknown_id, Role::Primary, None),
        "",
    )
    .await;
    assert_eq!(
        refused(unknown),
        PromotionError::UnknownCheckpoint(unknown_id)
    );
    let other: ModelName = "other".parse().unwrap();
    let foreign = promote(
        &storage,
        &other,
        0,
        candidate(new.id, Role::Primary, None),
        "",
    )
    .await;
    assert!(matches!(
        refused(foreign),
        PromotionError::OtherModel { .. }
    ));
    let by = "x".repeat(201);
    let long = promote(
        &storage,
        &digits(),
        1,
        candidate(new.id, Role::Primary, None),
        by.as_str(),
    )
    .await;
    assert_eq!(refused(long), PromotionError::By);
    assert_eq!(list(&storage, &digits()).await.unwrap(), [1]);
}

#[tokio::test]
async fn rollback_and_release_append_records() {
    let (storage, old, new) = two().await;
    assert_eq!(
        refused(rollback(&storage, &digits(), 1, 0, "").await),
        PromotionError::NothingEarlier
    );
    serve(&storage, 1, new.id).await;
    serve(&storage, 2, new.id).await;
    let record = rollback(&storage, &digits(), 3, 0, "me").await.unwrap();
    assert_eq!(
        (record.primary(), record.reason),
        (Some(old.id), Reason::RolledBack)
    );
    assert!(record.hold && record.by == "me");
    // By number, and only to an existing record.
    assert_eq!(
        refused(rollback(&storage, &digits(), 4, 5, "").await),
        PromotionError::UnknownRecord(5)
    );
    let record = rollback(&storage, &digits(), 4, 2, "").await.unwrap();
    assert_eq!(record.primary(), Some(new.id));

    let record = release(&storage, &digits(), 5, "").await.unwrap();
    assert_eq!((record.primary(), record.hold), (Some(new.id), false));
    assert_eq!(record.reason, Reason::Released);
    assert_eq!(
        refused(release(&storage, &digits(), 6, "").await),
        PromotionError::NotHeld
    );
}

#[tokio::test]
async fn an_empty_log_refuses_changes() {
    let (storage, _) = memory();
    let shadow = candidate(published(&storage, 0).await.id, Role::Shadow, None);
    for nothing in [
        release(&storage, &digits(), 0, "").await,
        drop_candidates(&storage, &digits(), 0, "").await,
        promote(&storage, &digits(), 0, shadow, "").await,
    ] {
        assert_eq!(refused(nothing), PromotionError::NothingServes);
    }
}

#[tokio::test]
async fn operators_can_replace_an_unreadable_newest_record() {
    let (storage, store) = memory();
    let (old, new) = (published(&storage, 60).await, published(&storage, 0).await);
    serve(&storage, 0, old.id).await;
    let key = Path::from("a/prefix/serving/digits/00000000000000000002.json");
    store.put(&key, r#"{"format": 9}"#.into()).await.unwrap();
    // Policies leave the decision to a newer program.
    assert!(head(&storage, &digits()).await.is_err());
    assert!(
        promote_published(&storage, &new, Policy::Latest.into(), "")
            .await
            .is_err()
    );
    // Operators cannot keep a part of unknown routes.
    for unknown in [
        release(&storage, &digits(), 2, "").await,
        drop_candidates(&storage, &digits(), 2, "").await,
        promote(
            &storage,
            &digits(),
            2,
            candidate(new.id, Role::Shadow, None),
            "",
        )
        .await,
    ] {
        assert_eq!(refused(unknown), PromotionError::HeadUnknown);
    }
    // But they can replace them.
    let record = rollback(&storage, &digits(), 2, 0, "").await.unwrap();
    assert_eq!((record.sequence, record.primary()), (3, Some(old.id)));
}

#[tokio::test(start_paused = true)]
async fn ambiguous_answers_are_resolved() {
    use Fault::{ExistsThoughAbsent, ExistsThoughOurs, FailAfter, FailBefore};
    let cases: [&[Fault]; 6] = [
        &[ExistsThoughOurs],
        &[ExistsThoughAbsent],
        &[FailBefore],
        &[FailAfter],
        &[FailBefore, ExistsThoughAbsent, FailBefore, FailAfter],
        &[ExistsThoughAbsent, ExistsThoughAbsent, ExistsThoughOurs],
    ];
    for faults in cases {
        let (storage, store) = memory();
        let id = published(&storage, 0).await.id;
        store.set_faults(faults.iter().copied());
        let record = serve(&storage, 0, id).await;
        assert_eq!(
            head(&storage, &digits()).await.unwrap(),
            Some(record),
            "{faults:?}"
        );
        assert_eq!(list(&storage, &digits()).await.unwrap(), [1], "{faults:?}");
        // Another writer's record is never taken for one's own, whatever the answer.
        store.set_faults(faults.iter().copied());
        let proposal = Proposal {
            routes: vec![Route {
                checkpoint: id,
                role: Role::Primary,
                share: 1.0,
                manifest_sha256: None,
            }],
            hold: false,
            reason: Reason::Promoted,
            by: String::new(),
            note: None,
        };
        assert_eq!(
            lost_to(append(&storage, &digits(), 0, proposal).await),
            1,
            "{faults:?}"
        );
    }
    let (storage, store) = memory();
    let id = published(&storage, 0).await.id;
    store.set_faults([FailBefore; 5]);
    let primary = candidate(id, Role::Primary, None);
    let given_up = promote(&storage, &digits(), 0, primary, "").await;
    assert!(
        matches!(given_up, Err(AppendError::Storage(_))),
        "{given_up:?}"
    );
}

#[tokio::test]
async fn a_tombstoned_checkpoint_is_not_promoted_or_its_record_is_reverted() {
    let (storage, store) = memory();
    let (old, new) = (published(&storage, 60).await, published(&storage, 0).await);
    serve(&storage, 0, old.id).await;
    let key = Path::from(format!("a/prefix/checkpoints/{}/tombstone.json", new.id));
    let primary = candidate(new.id, Role::Primary, None);

    // The tombstone appears while the record is written, between the two checks.
    store.on_put("00000000000000000002.json", &key);
    let gone = refused(promote(&storage, &digits(), 1, primary, "").await);
    assert_eq!(gone, PromotionError::Tombstoned(new.id));
    let record = head(&storage, &digits()).await.unwrap().unwrap();
    assert_eq!((record.sequence, record.primary()), (3, Some(old.id)));

    // The tombstone exists before.
    let gone = refused(promote(&storage, &digits(), 3, primary, "").await);
    assert_eq!(gone, PromotionError::Tombstoned(new.id));
    let gone = refused(rollback(&storage, &digits(), 3, 2, "").await);
    assert_eq!(gone, PromotionError::Tombstoned(new.id));
    release(&storage, &digits(), 3, "").await.unwrap();
    let gone = promote_published(&storage, &new, Policy::Latest.into(), "")
        .await
        .unwrap_err();
    assert!(gone.to_string().contains("deletion"), "{gone}");
    assert_eq!(list(&storage, &digits()).await.unwrap(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_revert_skips_records_with_deleted_checkpoints() {
    let (storage, store) = memory();
    let (old, gone) = (published(&storage, 60).await, published(&storage, 30).await);
    let new = published(&storage, 0).await;
    serve(&storage, 0, old.id).await;
    // A writer appended its record while the tombstone appeared, and has not reverted it yet.
    let proposal = Proposal {
        routes: vec![Route {
            checkpoint: gone.id,
            role: Role::Primary,
            share: 1.0,
            manifest_sha256: None,
        }],
        hold: false,
        reason: Reason::Published,
        by: String::new(),
        note: None,
    };
    append(&storage, &digits(), 1, proposal).await.unwrap();
    let tombstone =
        |id: CheckpointId| Path::from(format!("a/prefix/checkpoints/{id}/tombstone.json"));
    store.put(&tombstone(gone.id), "{}".into()).await.unwrap();
    // The same happens to the next one.
    store.on_put("00000000000000000003.json", &tombstone(new.id));
    let primary = candidate(new.id, Role::Primary, None);
    let refusal = refused(promote(&storage, &digits(), 2, primary, "").await);
    assert_eq!(refusal, PromotionError::Tombstoned(new.id));
    let record = head(&storage, &digits()).await.unwrap().unwrap();
    assert_eq!((record.sequence, record.primary()), (4, Some(old.id)));
}
