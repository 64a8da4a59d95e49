//! Attempts outside the trainer's process: what their workers write, and what is left of them.

use super::support::{Fault, memory};
use bytes::Bytes;
use digits_checkpoint::{
    Storage, StorageError,
    runs::{self, Attempt, DraftFiles, ReportLog},
};
use std::fs;
use uuid::Uuid;

fn attempt(number: u32) -> Attempt {
    Attempt {
        job: Uuid::now_v7().to_string(),
        number,
    }
}

fn draft() -> DraftFiles {
    DraftFiles {
        manifest: Bytes::from_static(b"manifest"),
        model: Bytes::from_static(b"model"),
        exam: Bytes::from_static(b"exam"),
    }
}

#[tokio::test(start_paused = true)]
async fn reports_have_their_order_whatever_the_store_answers() {
    let (storage, store) = memory();
    let own = attempt(1);
    let mut log = ReportLog::new(storage.clone(), own.clone());
    for (fault, number) in [
        Fault::None,
        Fault::FailBefore,
        Fault::FailAfter,
        Fault::ExistsThoughOurs,
        Fault::ExistsThoughAbsent,
    ]
    .into_iter()
    .zip(1_u8..)
    {
        assert_eq!(own.report(&storage, number.into()).await.unwrap(), None);
        store.set_faults([fault]);
        log.append(vec![number].into()).await.unwrap();
        let read = own.report(&storage, number.into()).await.unwrap();
        assert_eq!(read.as_deref(), Some(&[number][..]), "{fault:?}");
    }
}

#[tokio::test]
async fn a_second_worker_of_an_attempt_is_shut_out() {
    let (storage, _) = memory();
    let own = attempt(1);
    let mut log = ReportLog::new(storage.clone(), own.clone());
    log.append(Bytes::from_static(b"first")).await.unwrap();
    let mut second = ReportLog::new(storage.clone(), own.clone());
    let refused = second.append(Bytes::from_static(b"second")).await;
    assert!(matches!(refused, Err(StorageError::Conflict { .. })));
    // The next attempt has reports of its own.
    let next = Attempt { number: 2, ..own };
    let mut log = ReportLog::new(storage.clone(), next.clone());
    log.append(Bytes::from_static(b"second")).await.unwrap();
    assert!(next.report(&storage, 1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_record_is_created_once() {
    let (storage, _) = memory();
    let own = attempt(1);
    assert_eq!(own.record(&storage).await.unwrap(), None);
    for _ in 0..2 {
        let record = Bytes::from_static(b"record");
        own.create_record(&storage, record).await.unwrap();
    }
    let other = own.create_record(&storage, Bytes::from_static(b"other"));
    assert!(matches!(other.await, Err(StorageError::Conflict { .. })));
    assert_eq!(own.record(&storage).await.unwrap().unwrap(), "record");
}

#[tokio::test]
async fn bundles_and_drafts_are_deleted_one_by_one() {
    let (storage, _) = memory();
    let own = attempt(1);
    for number in [1, 2] {
        let bundle = Bytes::from_static(b"bundle");
        own.put_bundle(&storage, number, bundle).await.unwrap();
        own.put_draft(&storage, number, draft()).await.unwrap();
    }
    own.delete_bundle(&storage, 1).await.unwrap();
    own.delete_draft(&storage, 1).await.unwrap();
    assert_eq!(own.bundle(&storage, 1).await.unwrap(), None);
    assert_eq!(own.bundle(&storage, 2).await.unwrap().unwrap(), "bundle");
    let missing = own.draft(&storage, 1).await;
    assert!(matches!(missing, Err(StorageError::Missing { .. })));
    assert_eq!(own.draft(&storage, 2).await.unwrap(), draft());
}

#[tokio::test]
async fn nothing_is_left_of_a_cleared_job_and_other_jobs_stay() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().to_str().unwrap()).unwrap();
    let (first, other) = (attempt(1), attempt(1));
    let second = Attempt {
        number: 2,
        ..first.clone()
    };
    for each in [&first, &second, &other] {
        let record = Bytes::from_static(b"record");
        each.create_record(&storage, record).await.unwrap();
        each.put_draft(&storage, 1, draft()).await.unwrap();
    }
    // Of a writer that was killed.
    let folder = dir.path().join("runs").join(&first.job);
    fs::write(folder.join("1/attempt.pb#1"), "staging").unwrap();
    assert_eq!(runs::jobs(&storage).await.unwrap().len(), 2);
    for _ in 0..2 {
        runs::clear(&storage, &first.job).await.unwrap();
    }
    assert!(!folder.exists());
    let left = runs::jobs(&storage).await.unwrap();
    assert!(left.len() == 1 && left.contains(&other.job), "{left:?}");
    assert_eq!(other.draft(&storage, 1).await.unwrap(), draft());
}
