//! Publication and promotion with a failure at every write, while a reader polls: no partial
//! checkpoint is ever visible, and a retry with the same id completes the publication.

use super::support::{Fault, FaultStore, draft, layers};
use digits_checkpoint::{
    Follower, Storage,
    id::{CheckpointId, ModelName},
    list_checkpoints, load, publish,
    serving::{Policy, list, promote_published},
};
use object_store::{memory::InMemory, path::Path};
use std::{sync::Arc, time::Duration};
use tokio::time::advance;

/// Writes of a publication with its promotion: model, exam, manifest, record.
const WRITES: usize = 4;
/// Failures after which a write is abandoned.
const GIVEN_UP: usize = 5;

const MOMENT: Duration = Duration::from_millis(10);

/// The invariant of every moment: complete checkpoints, and records that name them.
pub async fn look(storage: &Storage) -> usize {
    let committed = list_checkpoints(storage).await.unwrap();
    for manifest in &committed {
        let loaded = load(storage, manifest.id).await.unwrap();
        assert_eq!(loaded.layers, layers(1));
    }
    let mut follower = Follower::new(storage.clone(), ModelName::default());
    if let Some(record) = follower.poll().await.unwrap() {
        load(storage, record.primary().unwrap()).await.unwrap();
    }
    committed.len()
}

async fn work(storage: &Storage, id: CheckpointId) -> Result<(), digits_checkpoint::StorageError> {
    let manifest = publish(storage, draft(id, 1, 0)).await?;
    promote_published(storage, &manifest, Policy::Latest.into(), "job").await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_any_write_can_be_completed_with_the_same_id() {
    for fault in [
        Fault::FailBefore,
        Fault::FailAfter,
        Fault::ExistsThoughAbsent,
        Fault::ExistsThoughOurs,
    ] {
        for write in 0..WRITES {
            for times in 1..=GIVEN_UP {
                let store = Arc::new(FaultStore::new(InMemory::new()));
                let storage = Storage::from_store(store.clone(), Path::default());
                store.set_yields(vec![1]);
                store.set_faults([vec![Fault::None; write], vec![fault; times]].concat());
                let id = CheckpointId::generate();
                let writer = async {
                    let first = work(&storage, id).await;
                    let given_up = times == GIVEN_UP
                        && matches!(fault, Fault::FailBefore | Fault::ExistsThoughAbsent);
                    assert_eq!(
                        first.is_err(),
                        given_up,
                        "{fault:?} {write} {times}: {first:?}"
                    );
                    store.set_faults([]);
                    work(&storage, id).await.unwrap();
                };
                tokio::pin!(writer);
                // The reader polls whenever the writer waits.
                loop {
                    tokio::select! {
                        biased;
                        () = &mut writer => break,
                        // A busy reader keeps the paused clock from moving on by itself.
                        () = async { look(&storage).await; advance(MOMENT).await } => {}
                    }
                }
                assert_eq!(look(&storage).await, 1);
                assert_eq!(list(&storage, &ModelName::default()).await.unwrap(), [1]);
                assert_eq!(store.landed().len(), WRITES, "{fault:?} {write} {times}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_dropped_anywhere_can_be_completed_with_the_same_id() {
    // It yields before and after each write and before each read, and is dropped at each of these
    // points.
    let mut finished = false;
    for operations in 0..200 {
        let store = Arc::new(FaultStore::new(InMemory::new()));
        let storage = Storage::from_store(store.clone(), Path::default());
        store.set_yields(vec![1]);
        let id = CheckpointId::generate();
        {
            let writer = work(&storage, id);
            tokio::pin!(writer);
            while store.operations() < operations && !finished {
                finished = futures::poll!(writer.as_mut()).is_ready();
                // Lets the thread that validates the draft continue.
                tokio::task::yield_now().await;
            }
        }
        look(&storage).await;
        work(&storage, id).await.unwrap();
        assert_eq!(look(&storage).await, 1);
        assert_eq!(
            list(&storage, &ModelName::default()).await.unwrap(),
            [1],
            "{operations}"
        );
    }
}
