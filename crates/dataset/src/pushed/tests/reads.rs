//! How many rounds of reads a list takes, on a store whose reads take a second of the test's clock.

use super::*;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use std::time::Duration;
use tokio::time::Instant;

const NAMES: usize = 320;
const READ: Duration = Duration::from_secs(1);

/// A storage with as many names of one content.
async fn many_names() -> Storage {
    let (storage, store) = memory();
    for index in 0..NAMES {
        let name = as_name(&format!("set-{index:0>4}"));
        push(&storage, dataset(0), name).await.unwrap();
    }
    let config = ThrottleConfig {
        wait_get_per_call: READ,
        ..ThrottleConfig::default()
    };
    let slow = ThrottledStore::new(store, config);
    Storage::from_store(Arc::new(slow), Path::default())
}

#[tokio::test(start_paused = true)]
async fn a_list_reads_concurrently_and_only_what_it_returns() {
    let storage = many_names().await;
    let start = Instant::now();
    assert_eq!(names(&storage).await.unwrap().len(), NAMES);
    assert_eq!(start.elapsed(), Duration::ZERO, "names are keys");

    let start = Instant::now();
    assert_eq!(list(&storage).await.unwrap().len(), NAMES);
    let rounds = start.elapsed().as_secs();
    assert!(rounds <= NAMES as u64 / 10, "{rounds} rounds of reads");

    for after in [None, Some("set-0100")] {
        let after = after.map(|name| ListPosition {
            name: name.parse().unwrap(),
            sequence: 1,
        });
        let start = Instant::now();
        let page = list_after(&storage, after.as_ref(), 4).await.unwrap();
        assert_eq!(page.len(), 4);
        let rounds = start.elapsed().as_secs();
        assert!(rounds <= 3, "{rounds} rounds of reads");
    }
    let start = Instant::now();
    let one = list_of(&storage, &"set-0007".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(one.len(), 1);
    assert_eq!(start.elapsed(), 2 * READ, "a record and a manifest");
}
