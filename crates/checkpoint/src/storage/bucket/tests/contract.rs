//! What the storage relies on, for every bucket alike.

use super::{IN_PROCESS, open, start};
use crate::storage::{Created, Storage, StorageError};
use bytes::Bytes;
use digits_testing::bucket::Backend;
use futures::{StreamExt as _, stream};

/// More than a page of a listing of S3, which has 1,000 keys.
const KEYS: usize = 1_010;
/// A value that is sent with the longer timeout, and compared in pieces.
const LARGE: usize = (16 << 20) + 10;
const WRITERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn buckets_of_this_process_keep_the_contract() {
    for backend in IN_PROCESS {
        keeps_the_contract(backend).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "`make test-buckets` brings moto"]
async fn moto_keeps_the_contract() {
    keeps_the_contract(Backend::Moto).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "`make test-buckets` brings SeaweedFS"]
async fn seaweedfs_keeps_the_contract() {
    keeps_the_contract(Backend::SeaweedFs).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "`make test-buckets` brings Azurite"]
async fn azurite_keeps_the_contract() {
    keeps_the_contract(Backend::Azurite).await;
}

async fn keeps_the_contract(backend: Backend) {
    let (bucket, _dir) = start(backend).await;
    let storage = open(&bucket.storage(), &bucket.environment()).expect("opened");
    storage.probe().await.expect("exclusive");
    assert_eq!(
        listed(&storage, "probe", None).await,
        [""; 0],
        "{backend:?}"
    );
    a_key_is_created_once(&storage).await;
    of_racing_writers_one_wins(&storage).await;
    values_are_read_whole_and_in_part(&storage).await;
    large_values_are_written_once(&storage).await;
    listings_show_all_keys_at_once(&storage).await;
    // Another prefix sees nothing of it.
    let other = bucket.storage().replace("/prefix", "/pre");
    let other = open(&other, &bucket.environment()).expect("opened");
    assert_eq!(listed(&other, "keys", None).await, [""; 0], "{backend:?}");
}

async fn create(storage: &Storage, key: &str, bytes: &'static str) -> Created {
    let created = storage.create(key, Bytes::from(bytes)).await;
    created.expect("answered")
}

/// The keys, in their order.
async fn listed(storage: &Storage, folder: &str, offset: Option<&str>) -> Vec<String> {
    let entries = storage.list(folder, offset).await.expect("listed");
    let mut keys: Vec<_> = entries.into_iter().map(|it| it.key).collect();
    keys.sort();
    keys
}

async fn a_key_is_created_once(storage: &Storage) {
    assert_eq!(create(storage, "a/b/1.json", "first").await, Created::Ours);
    assert_eq!(create(storage, "a/b/1.json", "first").await, Created::Ours);
    let second = create(storage, "a/b/1.json", "second").await;
    assert_eq!(second, Created::Theirs);
    let read = storage.get("a/b/1.json", 100).await.expect("read");
    assert_eq!(read.as_deref(), Some(&b"first"[..]));
    storage.delete("a/b/1.json").await.expect("deleted");
    storage.delete("a/b/1.json").await.expect("it is gone");
    let gone = storage.get("a/b/1.json", 100).await.expect("read");
    assert_eq!(gone, None);
    let anew = create(storage, "a/b/1.json", "second").await;
    assert_eq!(anew, Created::Ours, "a deleted key can be created");
}

async fn of_racing_writers_one_wins(storage: &Storage) {
    for round in 0..10 {
        let key = format!("race/{round}");
        let write = |writer: usize| storage.create(&key, Bytes::from(format!("writer {writer}")));
        let created = futures::future::join_all((0..WRITERS).map(write)).await;
        let won: Vec<usize> = (0..WRITERS)
            .filter(|&writer| matches!(created[writer], Ok(Created::Ours)))
            .collect();
        let lost = created
            .iter()
            .filter(|it| matches!(it, Ok(Created::Theirs)));
        assert_eq!((won.len(), lost.count()), (1, WRITERS - 1), "{created:?}");
        let read = storage.get(&key, 100).await.expect("read");
        assert_eq!(read, Some(format!("writer {}", won[0]).into()));
    }
}

async fn values_are_read_whole_and_in_part(storage: &Storage) {
    create(storage, "values/small", "0123456789").await;
    let key = "values/small";
    assert_eq!(storage.size(key).await.expect("read"), Some(10));
    assert_eq!(storage.range(key, 3..7).await.expect("read"), "3456");
    let beyond = storage.range(key, 7..12).await;
    assert!(
        matches!(&beyond, Err(StorageError::Unreadable { .. })),
        "{beyond:?}"
    );
    let limited = storage.get(key, 9).await;
    assert!(
        matches!(&limited, Err(StorageError::TooLarge { size: 10, .. })),
        "{limited:?}"
    );
    let absent = "values/absent";
    assert_eq!(storage.get(absent, 9).await.expect("read"), None);
    assert_eq!(storage.size(absent).await.expect("read"), None);
    let absent = storage.range(absent, 0..1).await;
    assert!(
        matches!(&absent, Err(StorageError::Missing { .. })),
        "{absent:?}"
    );
}

async fn large_values_are_written_once(storage: &Storage) {
    let value: Bytes = (0..LARGE).map(|index| (index % 251) as u8).collect();
    let mut other = value.to_vec();
    other[LARGE - 1] ^= 1;
    for (bytes, expected) in [
        (value.clone(), Created::Ours),
        (value.clone(), Created::Ours),
        (other.into(), Created::Theirs),
    ] {
        let created = storage.create("values/large", bytes).await;
        assert_eq!(created.expect("answered"), expected);
    }
    let read = storage.get_bulk("values/large", LARGE as u64).await;
    assert!(read.expect("read") == Some(value));
}

/// A listing has what was created before it, and lacks what was deleted before it.
async fn listings_show_all_keys_at_once(storage: &Storage) {
    let key = |index: usize| format!("keys/{index:020}.json");
    let write = |index| async move { storage.create(&key(index), Bytes::from("x")).await };
    let mut written = stream::iter(0..KEYS).map(write).buffer_unordered(16);
    while let Some(created) = written.next().await {
        assert_eq!(created.expect("answered"), Created::Ours);
    }
    let all: Vec<String> = (0..KEYS).map(key).collect();
    assert_eq!(listed(storage, "keys", None).await, all);
    let last = &all[KEYS - 3];
    assert_eq!(listed(storage, "keys", Some(last)).await, all[KEYS - 2..]);
    for index in [0, KEYS - 1] {
        storage.delete(&all[index]).await.expect("deleted");
        let keys = listed(storage, "keys", None).await;
        assert!(!keys.contains(&all[index]), "{}", all[index]);
    }
}
