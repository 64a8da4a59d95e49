//! The follower returns each newest record once, and never skips a gap.

use super::support::{memory, published};
use digits_checkpoint::{
    Follower, Storage, StorageError,
    id::{CheckpointId, ModelName},
    record::Role,
    serving::{Candidate, list, promote},
};
use object_store::{ObjectStoreExt as _, path::Path};
use std::time::Duration;

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

async fn next_sequence(follower: &mut Follower) -> Option<u64> {
    follower.poll().await.unwrap().map(|record| record.sequence)
}

#[tokio::test(start_paused = true)]
async fn each_newest_record_is_returned_once() {
    let (storage, _) = memory();
    let id = published(&storage, 0).await.id;
    let mut follower = Follower::new(storage.clone(), ModelName::default());
    assert_eq!(
        (next_sequence(&mut follower).await, follower.head()),
        (None, 0)
    );
    serve(&storage, 0, id).await;
    assert_eq!(
        (next_sequence(&mut follower).await, follower.head()),
        (Some(1), 1)
    );
    assert_eq!(next_sequence(&mut follower).await, None);
    for expected in 1..4 {
        serve(&storage, expected, id).await;
    }
    assert_eq!(
        (next_sequence(&mut follower).await, follower.head()),
        (Some(4), 4),
        "the newest alone"
    );
    assert_eq!(next_sequence(&mut follower).await, None);
    // A new follower starts with the newest.
    let mut late = Follower::new(storage, ModelName::default());
    assert_eq!(next_sequence(&mut late).await, Some(4));
}

#[tokio::test(start_paused = true)]
async fn a_record_hidden_by_a_cache_is_found_by_listing() {
    let (storage, store) = memory();
    let id = published(&storage, 0).await.id;
    serve(&storage, 0, id).await;
    let mut follower = Follower::new(storage.clone(), ModelName::default());
    assert_eq!(next_sequence(&mut follower).await, Some(1));
    serve(&storage, 1, id).await;
    serve(&storage, 2, id).await;
    let hidden = Path::from("a/prefix/serving/digits/00000000000000000002.json");
    store.hide(Some(hidden));
    assert_eq!(next_sequence(&mut follower).await, None);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(next_sequence(&mut follower).await, Some(3));

    // Listed but hidden by a cache: an error until it is readable.
    serve(&storage, 3, id).await;
    store.hide(Some(Path::from(
        "a/prefix/serving/digits/00000000000000000004.json",
    )));
    tokio::time::advance(Duration::from_secs(6)).await;
    let error = follower.poll().await.unwrap_err();
    assert!(matches!(error, StorageError::Missing { .. }), "{error}");
    store.hide(None);
    assert_eq!(next_sequence(&mut follower).await, Some(4));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_is_reported_once_and_skipped() {
    let (storage, store) = memory();
    let id = published(&storage, 0).await.id;
    serve(&storage, 0, id).await;
    let key = Path::from("a/prefix/serving/digits/00000000000000000002.json");
    store.put(&key, "{".into()).await.unwrap();
    let mut follower = Follower::new(storage.clone(), ModelName::default());
    let error = follower.poll().await.unwrap_err();
    assert!(matches!(error, StorageError::Unreadable { .. }), "{error}");
    assert_eq!(
        (next_sequence(&mut follower).await, follower.head()),
        (None, 2)
    );
    // The list that a reader needs to go back.
    assert_eq!(list(&storage, &ModelName::default()).await.unwrap(), [1, 2]);
    serve(&storage, 2, id).await;
    assert_eq!(next_sequence(&mut follower).await, Some(3));
}
