//! Faults of a storage under a follower and its writers: noticed, named, and gone once mended.

use super::support::{memory, published};
use digits_checkpoint::{
    Follower, LogFault, Replacement, Storage, StorageError,
    id::{CheckpointId, ModelName},
    manifest::FORMAT,
    record::{Reason, Role, Route, ServingRecord},
    retention::{Rules, apply},
    serving::{
        AppendError, Candidate, NotPromoted, Policy, head, list, promote, promote_published,
    },
};
use jiff::{SignedDuration, Timestamp};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use std::{collections::BTreeSet, path::PathBuf, time::Duration};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn digits() -> ModelName {
    ModelName::default()
}

fn name(sequence: u64) -> String {
    format!("serving/digits/{sequence:020}.json")
}

async fn serve(
    storage: &Storage,
    expected: u64,
    checkpoint: CheckpointId,
) -> Result<(), AppendError> {
    let candidate = Candidate {
        checkpoint,
        role: Role::Primary,
        share: None,
    };
    promote(storage, &digits(), expected, candidate, "").await?;
    Ok(())
}

/// Publishes a checkpoint, and records 1 to `records` of it.
async fn log_of(storage: &Storage, records: u64) -> CheckpointId {
    let id = published(storage, 0).await.id;
    for expected in 0..records {
        serve(storage, expected, id).await.unwrap();
    }
    id
}

/// A follower of a storage, a listing after the other.
struct Following(Follower);

impl Following {
    async fn new(storage: &Storage) -> Self {
        let mut following = Self(Follower::new(storage.clone(), digits()));
        following.0.poll().await.unwrap();
        following
    }

    /// The sequence that the poll after the next listing returns.
    async fn next(&mut self) -> Option<u64> {
        tokio::time::advance(Duration::from_secs(6)).await;
        let found = self.0.poll().await.unwrap();
        found.map(|record| record.sequence)
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.0.faults().iter().map(LogFault::kind).collect()
    }
}

/// A record as a program with another clock writes it.
async fn put_record(
    store: &dyn ObjectStore,
    sequence: u64,
    checkpoint: CheckpointId,
    at: Timestamp,
) {
    let record = ServingRecord {
        format: FORMAT,
        sequence,
        nonce: format!("n{sequence}"),
        routes: vec![Route {
            checkpoint,
            role: Role::Primary,
            share: 1.0,
            manifest_sha256: None,
        }],
        hold: false,
        reason: Reason::Published,
        by: String::new(),
        note: None,
        at,
    };
    let key = Path::from(format!("a/prefix/{}", name(sequence)));
    let bytes = serde_json::to_vec(&record).unwrap();
    store.put(&key, bytes.into()).await.unwrap();
}

/// A storage in a folder that a test swaps for others.
struct Mount {
    parent: tempfile::TempDir,
    storage: Storage,
}

impl Mount {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let storage = Storage::open(parent.path().join("mount").to_str().unwrap()).unwrap();
        Self { parent, storage }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.parent.path().join(name)
    }

    /// Moves what is mounted to `away`, and what is at `other` to its place.
    fn swap(&self, away: &str, other: &str) {
        std::fs::rename(self.path("mount"), self.path(away)).unwrap();
        std::fs::rename(self.path(other), self.path("mount")).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_emptied_bucket_is_noticed_until_its_log_is_back() {
    let (storage, store) = memory();
    let id = log_of(&storage, 3).await;
    let mut following = Following::new(&storage).await;
    assert_eq!((following.next().await, following.kinds()), (None, vec![]));

    let keys: Vec<_> = (1..=3)
        .map(|it| Path::from(format!("a/prefix/{}", name(it))))
        .collect();
    let mut kept = Vec::new();
    for key in &keys {
        kept.push(store.get(key).await.unwrap().bytes().await.unwrap());
        store.delete(key).await.unwrap();
    }
    for _ in 0..4 {
        assert_eq!(following.next().await, None, "what serves stays");
        let expected = LogFault::RecordGone {
            sequence: 3,
            newest: None,
        };
        assert_eq!(following.0.faults().iter().collect::<Vec<_>>(), [&expected]);
        assert_eq!(following.0.head(), 3);
    }
    for (key, bytes) in keys.iter().zip(kept) {
        store.put(key, bytes.into()).await.unwrap();
    }
    assert_eq!((following.next().await, following.kinds()), (None, vec![]));
    serve(&storage, 3, id).await.unwrap();
    assert_eq!(following.next().await, Some(4));
    assert_eq!(following.0.take_replacement(), None);
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_swapped_folder_is_followed_after_two_listings() {
    let mount = Mount::new();
    log_of(&mount.storage, 5).await;
    let other = Storage::open(mount.path("other").to_str().unwrap()).unwrap();
    let id = log_of(&other, 2).await;
    let mut following = Following::new(&mount.storage).await;
    assert_eq!(following.0.head(), 5);

    mount.swap("first", "other");
    assert_eq!(following.next().await, None, "one listing may be a cache's");
    let expected = LogFault::RecordGone {
        sequence: 5,
        newest: Some(2),
    };
    assert_eq!(following.0.faults().iter().collect::<Vec<_>>(), [&expected]);
    assert_eq!(following.next().await, Some(2));
    let replacement = Replacement { before: 5, now: 2 };
    assert_eq!(following.0.take_replacement(), Some(replacement));
    assert_eq!((following.0.head(), following.kinds()), (2, vec![]));
    serve(&mount.storage, 2, id).await.unwrap();
    assert_eq!(following.next().await, Some(3));

    // The first storage is mounted again: its log is followed from the same record.
    mount.swap("other", "first");
    assert_eq!(following.next().await, Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_new_log_in_an_emptied_folder_is_followed() {
    let mount = Mount::new();
    log_of(&mount.storage, 2).await;
    let mut following = Following::new(&mount.storage).await;
    std::fs::create_dir(mount.path("empty")).unwrap();
    mount.swap("first", "empty");
    assert_eq!(following.next().await, None);
    assert_eq!(following.next().await, None);
    assert_eq!(following.kinds(), ["record_gone"]);
    log_of(&mount.storage, 1).await;
    assert_eq!(following.next().await, Some(1));
    assert_eq!(following.kinds(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn another_record_of_the_same_number_is_another_log() {
    let (storage, store) = memory();
    let id = log_of(&storage, 2).await;
    let mut following = Following::new(&storage).await;
    let key = Path::from(format!("a/prefix/{}", name(2)));
    let written = async || {
        let meta = store.head(&key).await.unwrap();
        meta.last_modified.timestamp_millis()
    };
    let before = written().await;
    while written().await == before {
        put_record(&*store, 2, id, Timestamp::now()).await;
    }
    assert_eq!(following.next().await, Some(2));
    let replacement = Replacement { before: 2, now: 2 };
    assert_eq!(following.0.take_replacement(), Some(replacement));
    // Written again without a change, as by a restored backup: the same log.
    let before = written().await;
    while written().await == before {
        put_record(&*store, 2, id, Timestamp::now()).await;
    }
    assert_eq!(following.next().await, None);
    assert_eq!(following.0.take_replacement(), None);
}

#[tokio::test(start_paused = true)]
async fn a_stray_record_stops_neither_readers_nor_writers() {
    let (storage, store) = memory();
    let id = log_of(&storage, 2).await;
    let mut following = Following::new(&storage).await;
    put_record(&*store, u64::MAX, id, Timestamp::now()).await;
    assert_eq!(
        (following.next().await, following.kinds()),
        (None, vec!["stray_record"])
    );
    let message = following.0.faults().iter().next().unwrap().to_string();
    assert!(message.contains("18446744073709551615.json"), "{message}");
    assert_eq!(
        head(&storage, &digits()).await.unwrap().unwrap().sequence,
        2
    );
    assert_eq!(list(&storage, &digits()).await.unwrap(), [1, 2]);

    let new = published(&storage, 0).await;
    let decision = promote_published(&storage, &new, Policy::Latest.into(), "job").await;
    let decision = decision.unwrap();
    // The records before were an operator's, which hold.
    assert_eq!(decision.not_promoted, Some(NotPromoted::Hold));
    serve(&storage, 2, new.id).await.unwrap();
    assert_eq!(following.next().await, Some(3));
    let beyond = serve(&storage, u64::MAX, id).await;
    assert!(matches!(beyond, Err(AppendError::Refused(_))), "{beyond:?}");
    let swept = apply(
        &storage,
        &Rules::default(),
        &BTreeSet::new(),
        Timestamp::now(),
    )
    .await;
    assert!(swept.is_ok(), "{swept:?}");

    let stray = Path::from(format!("a/prefix/{}", name(u64::MAX)));
    store.delete(&stray).await.unwrap();
    assert_eq!((following.next().await, following.kinds()), (None, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_folder_with_a_records_name_is_named_until_it_is_gone() {
    let mount = Mount::new();
    let id = log_of(&mount.storage, 1).await;
    let mut following = Following::new(&mount.storage).await;
    let folder = mount.path("mount").join(name(2));
    std::fs::create_dir(&folder).unwrap();
    let refused = serve(&mount.storage, 1, id).await.unwrap_err();
    let AppendError::Storage(error) = &refused else {
        panic!("{refused}")
    };
    assert!(matches!(error, StorageError::NameTaken { .. }), "{error}");
    assert!(!error.is_final(), "a writer retries until it is gone");
    assert!(error.to_string().contains("remove or rename"), "{error}");
    assert_eq!(
        (following.next().await, following.kinds()),
        (None, vec!["name_taken"])
    );

    std::fs::remove_dir(&folder).unwrap();
    serve(&mount.storage, 1, id).await.unwrap();
    assert_eq!(
        (following.next().await, following.kinds()),
        (Some(2), vec![])
    );

    // In place of a record that was read.
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    for _ in 0..3 {
        assert_eq!(following.next().await, None);
        assert_eq!(following.kinds(), ["name_taken"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_is_named_and_decides_nothing() {
    let (storage, store) = memory();
    let id = log_of(&storage, 1).await;
    let mut following = Following::new(&storage).await;
    let now = Timestamp::now();
    put_record(&*store, 2, id, now - DAY * 3).await;
    assert_eq!(
        (following.next().await, following.kinds()),
        (Some(2), vec!["clock"])
    );
    put_record(&*store, 3, id, now - DAY * 3).await;
    assert_eq!(
        (following.next().await, following.kinds()),
        (Some(3), vec![])
    );
    put_record(&*store, 4, id, now + DAY * 3).await;
    assert_eq!(
        (following.next().await, following.kinds()),
        (Some(4), vec!["clock"])
    );
    put_record(&*store, 5, id, now + DAY).await;
    assert_eq!(
        (following.next().await, following.kinds()),
        (Some(5), vec!["clock"])
    );
}

#[tokio::test]
async fn a_checkpoint_is_newer_than_what_served_when_it_was_published() {
    let (storage, store) = memory();
    let first = published(&storage, 0).await;
    let promoted = |manifest| {
        let storage = &storage;
        async move {
            let decision = promote_published(storage, manifest, Policy::Latest.into(), "").await;
            let decision = decision.unwrap();
            (decision.sequence, decision.not_promoted)
        }
    };
    assert_eq!(promoted(&first).await, (1, None));
    // By a trainer whose clock was set back by days: each replaces the one before.
    let days = 3 * 24 * 3600;
    let second = published(&storage, days).await;
    assert_eq!(second.after_sequence, Some(1));
    assert_eq!(promoted(&second).await, (2, None));
    let third = published(&storage, 2 * days).await;
    assert_eq!(promoted(&third).await, (3, None));

    // One that was published before the third served, and is promoted late, is older.
    let late = digits_checkpoint::publish(&storage, {
        let mut draft = super::support::draft(CheckpointId::generate(), 1, 0);
        draft.manifest.after_sequence = Some(1);
        draft
    });
    let late = late.await.unwrap();
    assert_eq!(promoted(&late).await, (0, Some(NotPromoted::Older)));

    // An earlier promotion is found behind records of any time.
    put_record(&*store, 4, first.id, Timestamp::now() - DAY * 100).await;
    assert_eq!(promoted(&third).await, (3, None));
}
