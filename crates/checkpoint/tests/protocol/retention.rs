//! Retention: the plan as a pure function, and its effect on a storage.

use super::support::{draft, memory, published};
use digits_checkpoint::{
    Storage, StorageError,
    id::{CheckpointId, ModelName},
    list_checkpoints, load, publish,
    record::{Reason, Role, Route},
    retention::{Inventory, Rules, State, StoredCheckpoint, apply, plan, take_inventory},
    serving::{Candidate, Proposal, append, promote},
    unfinished::{self, Unfinished, mark},
};
use jiff::{SignedDuration, Timestamp};
use object_store::{ObjectStoreExt as _, path::Path};
use proptest::{collection::vec, option, prelude::*};
use std::{collections::BTreeSet, fs};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn strict() -> Rules {
    Rules {
        keep_newest: 0,
        keep_younger: SignedDuration::ZERO,
        grace: HOUR,
        abandoned_after: HOUR,
    }
}

fn nothing() -> BTreeSet<CheckpointId> {
    BTreeSet::new()
}

async fn serve(storage: &Storage, expected: u64, checkpoint: CheckpointId) {
    let candidate = Candidate {
        checkpoint,
        role: Role::Primary,
        share: None,
    };
    promote(storage, &ModelName::default(), expected, candidate, "")
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unneeded_checkpoint_is_marked_then_deleted_with_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().to_str().unwrap()).unwrap();
    let (served, spare) = (
        published(&storage, 0).await.id,
        published(&storage, 0).await.id,
    );
    serve(&storage, 0, served).await;
    let folder = dir.path().join(format!("checkpoints/{spare}"));
    fs::write(folder.join("manifest.json#1"), "left by a kill").unwrap();
    let now = Timestamp::now();

    let report = apply(&storage, &strict(), &nothing(), now).await.unwrap();
    assert_eq!((report.buried, report.deleted), (vec![spare], vec![]));
    let report = apply(&storage, &strict(), &nothing(), now + HOUR / 2)
        .await
        .unwrap();
    assert_eq!(report, Default::default());
    load(&storage, spare).await.unwrap();
    let report = apply(&storage, &strict(), &nothing(), now + HOUR)
        .await
        .unwrap();
    assert_eq!((report.buried, report.deleted), (vec![], vec![spare]));
    assert!(!folder.exists());
    assert_eq!(
        apply(&storage, &strict(), &nothing(), now + HOUR)
            .await
            .unwrap(),
        Default::default()
    );
    let left: Vec<_> = list_checkpoints(&storage)
        .await
        .unwrap()
        .iter()
        .map(|left| left.id)
        .collect();
    assert_eq!(left, [served]);
}

#[tokio::test]
async fn a_promotion_during_the_grace_time_removes_the_tombstone() {
    let (storage, _) = memory();
    let id = published(&storage, 0).await.id;
    // Its record is appended unchecked, as by a promotion that checked before the tombstone
    // appeared.
    let now = Timestamp::now();
    apply(&storage, &strict(), &nothing(), now).await.unwrap();
    let proposal = Proposal {
        routes: vec![Route {
            checkpoint: id,
            role: Role::Primary,
            share: 1.0,
            manifest_sha256: None,
        }],
        hold: false,
        reason: Reason::Published,
        by: String::new(),
        note: None,
    };
    append(&storage, &ModelName::default(), 0, proposal)
        .await
        .unwrap();
    let report = apply(&storage, &strict(), &nothing(), now + HOUR * 2)
        .await
        .unwrap();
    assert_eq!((report.spared, report.deleted), (vec![id], vec![]));
    serve(&storage, 1, id).await;
}

#[tokio::test]
async fn abandoned_files_are_deleted_and_unfinished_publications_kept() {
    let (storage, store) = memory();
    let id = CheckpointId::generate();
    let key = |name| Path::from(format!("a/prefix/checkpoints/{id}/{name}"));
    store
        .put(&key("model.safetensors"), "x".into())
        .await
        .unwrap();
    let now = Timestamp::now();
    assert_eq!(
        apply(&storage, &strict(), &nothing(), now).await.unwrap(),
        Default::default()
    );
    let later = now + HOUR * 2;
    let kept = BTreeSet::from([id]);
    assert_eq!(
        apply(&storage, &strict(), &kept, later).await.unwrap(),
        Default::default()
    );
    assert_eq!(
        apply(&storage, &strict(), &nothing(), later)
            .await
            .unwrap()
            .buried,
        [id]
    );
    // A publisher that returns now gets an error.
    let error = publish(&storage, draft(id, 1, 0)).await.unwrap_err();
    assert!(matches!(
        error,
        StorageError::Conflict { .. } | StorageError::Tombstoned { .. }
    ));
    let report = apply(&storage, &strict(), &nothing(), later + HOUR)
        .await
        .unwrap();
    assert_eq!(report.deleted, [id]);
    assert!(
        take_inventory(&storage, later)
            .await
            .unwrap()
            .checkpoints
            .is_empty()
    );
}

#[tokio::test]
async fn an_interrupted_deletion_is_completed() {
    let (storage, store) = memory();
    let id = published(&storage, 0).await.id;
    let now = Timestamp::now();
    apply(&storage, &strict(), &nothing(), now).await.unwrap();
    let manifest = Path::from(format!("a/prefix/checkpoints/{id}/manifest.json"));
    store.delete(&manifest).await.unwrap();
    // With rules that would keep it, if it were complete.
    let report = apply(&storage, &Rules::default(), &nothing(), now + HOUR)
        .await
        .unwrap();
    assert_eq!(report.deleted, [id]);
    assert!(
        take_inventory(&storage, now)
            .await
            .unwrap()
            .checkpoints
            .is_empty()
    );
}

#[tokio::test]
async fn nothing_is_deleted_while_a_record_or_manifest_is_unreadable() {
    let (storage, store) = memory();
    let id = published(&storage, 0).await.id;
    let strange = CheckpointId::generate();
    let key = Path::from(format!("a/prefix/checkpoints/{strange}/manifest.json"));
    store.put(&key, r#"{"format": 9}"#.into()).await.unwrap();
    let now = Timestamp::now();
    assert_eq!(
        apply(&storage, &strict(), &nothing(), now)
            .await
            .unwrap()
            .buried,
        [id]
    );
    let key = Path::from("a/prefix/serving/digits/00000000000000000001.json");
    store.put(&key, r#"{"format": 9}"#.into()).await.unwrap();
    let error = apply(&storage, &strict(), &nothing(), now + HOUR * 9)
        .await
        .unwrap_err();
    assert!(matches!(error, StorageError::Unreadable { .. }), "{error}");
    load(&storage, id).await.unwrap();
}

#[tokio::test]
async fn the_manifest_goes_first_and_the_tombstone_last() {
    let (storage, store) = memory();
    published(&storage, 0).await;
    let now = Timestamp::now();
    apply(&storage, &strict(), &nothing(), now).await.unwrap();
    apply(&storage, &strict(), &nothing(), now + HOUR)
        .await
        .unwrap();
    let deleted = store.deleted();
    let names: Vec<_> = deleted.iter().filter_map(Path::filename).collect();
    assert_eq!(names.first(), Some(&"manifest.json"));
    assert_eq!(names.last(), Some(&"tombstone.json"));
    assert_eq!(names.len(), 4);
}

#[tokio::test]
async fn a_mark_goes_once_its_job_has_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().to_str().unwrap()).unwrap();
    let mut draft = draft(CheckpointId::generate(), 1, 0);
    draft.manifest.lineage.job = Some("kept".to_owned());
    let id = publish(&storage, draft).await.unwrap().id;
    for (job, how) in [
        ("kept", Unfinished::Failed),
        ("gone", Unfinished::Cancelled),
    ] {
        mark(&storage, job, how).await.unwrap();
    }
    let marked = async || {
        let marks = unfinished::list(&storage).await.unwrap();
        marks.into_keys().collect::<BTreeSet<_>>()
    };
    let sweep = async |after: SignedDuration| {
        let now = Timestamp::now() + after;
        let report = apply(&storage, &strict(), &nothing(), now).await.unwrap();
        report.unmarked
    };
    let both = BTreeSet::from(["gone".to_owned(), "kept".to_owned()]);
    assert!(sweep(HOUR / 2).await.is_empty(), "a young mark");
    // While a checkpoint is unreadable, it may be of any job.
    let strange = dir
        .path()
        .join(format!("checkpoints/{}", CheckpointId::generate()));
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("manifest.json"), r#"{"format": 9}"#).unwrap();
    assert!(sweep(HOUR).await.is_empty(), "an unreadable manifest");
    assert_eq!(marked().await, both);
    fs::remove_dir_all(strange).unwrap();

    assert_eq!(sweep(HOUR).await, ["gone"]);
    assert!(!dir.path().join("jobs/gone").exists());
    // By now the checkpoint's grace time is over.
    assert!(sweep(HOUR * 2).await.is_empty());
    assert!(!dir.path().join(format!("checkpoints/{id}")).exists());
    assert_eq!(sweep(HOUR * 2).await, ["kept"]);
    assert!(marked().await.is_empty());
}

/// With a log of more than 1,000 records, the last 1,000 protect, and so do those of the last seven
/// days.
#[tokio::test]
async fn the_last_thousand_records_or_seven_days_protect() {
    let (storage, store) = memory();
    let day = HOUR * 24;
    let now = Timestamp::now();
    // One record every `step`, the newest now; each names a checkpoint of its own.
    for (step, records, protected) in [(day, 1100_u64, 1000), (HOUR / 10, 3000, 7 * 240 + 2)] {
        let model = if step == day { "slow" } else { "quick" };
        let mut ids = Vec::new();
        for sequence in 1..=records {
            let checkpoint = CheckpointId::generate();
            ids.push(checkpoint);
            let at = now - step * i32::try_from(records - sequence).unwrap();
            let record = serde_json::json!({
                "format": 1, "sequence": sequence, "nonce": "", "hold": false, "reason": "published",
                "by": "", "at": at,
                "routes": [{"checkpoint": checkpoint, "role": "primary", "share": 1.0}],
            });
            let key = Path::from(format!("a/prefix/serving/{model}/{sequence:020}.json"));
            store.put(&key, record.to_string().into()).await.unwrap();
        }
        let named = take_inventory(&storage, now).await.unwrap().referenced;
        let count = ids.iter().filter(|id| named.contains(id)).count();
        assert_eq!(count, protected, "{model}");
        assert!(
            ids[ids.len() - protected..]
                .iter()
                .all(|id| named.contains(id))
        );
    }
}

fn held(now: Timestamp) -> impl Strategy<Value = StoredCheckpoint> {
    let ago = move |hours: i32| now - HOUR * hours;
    let state = prop_oneof![
        6 => (0..3_usize, -5..400_i32).prop_map(move |(model, hours)| State::Committed {
            model: ["a", "b", "c"][model].parse().unwrap(),
            created_at: ago(hours),
            after_sequence: None,
        }),
        2 => (-5..400_i32).prop_map(move |hours| State::Uncommitted { touched: ago(hours) }),
        1 => Just(State::Unreadable),
    ];
    (state, option::of((-5..50_i32).prop_map(ago))).prop_map(|(state, tombstone)| {
        StoredCheckpoint {
            id: CheckpointId::generate(),
            state,
            tombstone,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_protected_is_never_buried_or_deleted(
        checkpoints in vec(held(Timestamp::UNIX_EPOCH + HOUR * 10_000), 0..40),
        marks in vec(0_u8..8, 40),
        keep_newest in 0_usize..5,
        young_hours in 0_i32..100,
    ) {
        let now = Timestamp::UNIX_EPOCH + HOUR * 10_000;
        let marked = |bit: u8| {
            let marked = checkpoints.iter().zip(&marks).filter(move |(_, mark)| **mark == bit);
            marked.map(|(held, _)| held.id).collect::<BTreeSet<_>>()
        };
        let (named, keep) = (marked(1), marked(2));
        let rules = Rules { keep_newest, keep_younger: HOUR * young_hours, ..Rules::default() };
        let inventory = Inventory { checkpoints, referenced: named, ..Inventory::default() };
        let plan = plan(now, &rules, &inventory, &keep);
        let going: BTreeSet<_> = plan.bury.iter().chain(&plan.delete).copied().collect();
        for held in &inventory.checkpoints {
            let id = held.id;
            prop_assert!(!(keep.contains(&id) && going.contains(&id)));
            match &held.state {
                State::Unreadable => prop_assert!(!going.contains(&id)),
                State::Committed { model, created_at, .. } => {
                    let newer = inventory.checkpoints.iter().filter(|other| {
                        matches!(&other.state, State::Committed { model: m, created_at: at, .. }
                            if m == model && (*at, other.id) > (*created_at, id))
                    });
                    let needed = inventory.referenced.contains(&id)
                        || keep.contains(&id)
                        || newer.count() < keep_newest
                        || *created_at > now - rules.keep_younger;
                    prop_assert_eq!(going.contains(&id), !needed && !plan_waits(held, now, &rules));
                    prop_assert_eq!(plan.spare.contains(&id), needed && held.tombstone.is_some());
                }
                State::Uncommitted { touched } => {
                    let fresh = held.tombstone.is_none() && *touched > now - rules.abandoned_after;
                    prop_assert!(!(fresh && going.contains(&id)));
                }
            }
            if plan.delete.contains(&id) {
                prop_assert!(held.tombstone.is_some_and(|at| at <= now - rules.grace));
            }
        }
    }
}

/// Whether there is a tombstone whose grace time is not over.
fn plan_waits(held: &StoredCheckpoint, now: Timestamp, rules: &Rules) -> bool {
    held.tombstone.is_some_and(|at| at > now - rules.grace)
}
