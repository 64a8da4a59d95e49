//! The job database over its whole life: reopened, killed, asked twice.

use digits_checkpoint::{id::CheckpointId, manifest::Evaluation};
use digits_proto::v1::{WatchJobResponse, watch_job_response::Event};
use digits_trainer::{
    job::{CurveRow, JobId, JobState, NetworkSize},
    store::{
        Ending, Intention, IntentionState, Job, JobFilter, NewJob, STARTS_AT_MOST, Store,
        StoreError, Submitted,
    },
};
use prost::Message as _;
use std::{path::Path, time::Duration, time::Instant};

struct Database {
    store: Store,
    runtime: tokio::runtime::Runtime,
}

impl Database {
    /// Opens it, waiting for the last owner to let go.
    fn open(folder: &Path) -> Self {
        let begun = Instant::now();
        let store = loop {
            match Store::open(folder) {
                Ok(store) => break store,
                Err(error) if begun.elapsed() > Duration::from_secs(30) => panic!("{error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        Self { store, runtime }
    }

    fn submit(&self, request_id: &str) -> Job {
        match self
            .runtime
            .block_on(self.store.submit(new_job(request_id), 10))
        {
            Ok(Submitted::New(job) | Submitted::Before(job)) => *job,
            Err(error) => panic!("{error}"),
        }
    }

    fn job(&self, id: JobId) -> Job {
        self.runtime.block_on(self.store.job(id)).expect("the job")
    }

    fn events(&self, id: JobId) -> Vec<WatchJobResponse> {
        let (events, _) = self
            .runtime
            .block_on(self.store.events_after(id, 0))
            .expect("events");
        events
            .into_iter()
            .map(|event| WatchJobResponse::decode(event.message.as_slice()).expect("a message"))
            .collect()
    }

    fn steps(&self, id: JobId) -> Vec<u64> {
        let sampled = self
            .runtime
            .block_on(self.store.history(id, 1_000))
            .expect("history");
        sampled.rows.iter().map(|row| row.step).collect()
    }
}

fn new_job(request_id: &str) -> NewJob {
    NewJob {
        request_id: request_id.to_owned(),
        request_key: vec![1, 2, 3],
        requested: Vec::new(),
        resolved: Vec::new(),
        name: "name".to_owned(),
        labels: [("a".to_owned(), "b".to_owned())].into(),
        epochs: 2,
        steps: 20,
        network: NetworkSize {
            parameters: 1,
            parameter_bytes: 4,
            multiply_adds: 1,
            activation_bytes: 4,
        },
    }
}

fn row(step: u64, train_loss: f64) -> CurveRow {
    CurveRow {
        at_us: 5,
        step,
        epoch: 1,
        step_in_epoch: 1,
        train_loss,
        validation: Evaluation {
            images: 10,
            correct: 5,
            loss: 0.5,
            loss_batch_mean: 0.5,
            batch_size: 5,
        },
        learning_rate: 0.1,
        samples_per_second: 1e6,
    }
}

#[test]
fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = {
        let database = Database::open(folder.path());
        let job = database.submit("a");
        let claimed = database.store.claim().expect("claims").expect("a job");
        assert_eq!(claimed.id, job.id);
        assert!(
            database.store.claim().expect("claims").is_none(),
            "once only"
        );
        database
            .store
            .begun(job.id, "cpu".to_owned(), "d".repeat(64))
            .expect("begun");
        database
            .store
            .append_rows(job.id, vec![row(1, 2.5), row(11, f64::NAN)])
            .expect("rows");
        let ending = Ending {
            state: JobState::Succeeded,
            train_seconds: 0.1 + 0.2,
            ..Ending::cancelled()
        };
        database.store.finish(job.id, ending).expect("finished");
        job.id
    };
    let database = Database::open(folder.path());
    let job = database.job(id);
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(job.train_seconds.to_bits(), (0.1_f64 + 0.2).to_bits());
    assert_eq!(job.last_event, 5);
    let sequences: Vec<u64> = database
        .events(id)
        .iter()
        .map(|event| event.sequence)
        .collect();
    assert_eq!(
        sequences,
        [1, 2, 3, 4, 5],
        "queued, running, two rows, finished"
    );
    let sampled = database
        .runtime
        .block_on(database.store.history(id, 2))
        .expect("history");
    assert_eq!(sampled.rows[0], row(1, 2.5));
    assert!(sampled.rows[1].train_loss.is_nan());
}

#[test]
fn two_trainers_cannot_share_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = Database::open(folder.path());
    let second = Store::open(folder.path()).err().expect("refused");
    assert!(second.to_string().contains("another trainer"), "{second}");
}

#[test]
fn a_request_is_accepted_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let first = database.submit("a");
    assert_eq!(database.submit("a").id, first.id);
    let other = NewJob {
        request_key: vec![9],
        ..new_job("a")
    };
    let refused = database.runtime.block_on(database.store.submit(other, 10));
    assert!(matches!(refused, Err(StoreError::RequestIdTaken)));
    let full = database
        .runtime
        .block_on(database.store.submit(new_job("b"), 1));
    assert!(matches!(full, Err(StoreError::QueueFull { waiting: 1 })));
    let listed = database.runtime.block_on(database.store.jobs(JobFilter {
        limit: 10,
        ..JobFilter::default()
    }));
    assert_eq!(
        listed.expect("listed").len(),
        1,
        "what was refused left nothing behind"
    );
}

#[test]
fn the_queue_is_first_in_first_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let ids: Vec<JobId> = ["a", "b", "c"]
        .iter()
        .map(|id| database.submit(id).id)
        .collect();
    let first = database.store.claim().expect("claims").expect("a job");
    database.store.requeue(first.id).expect("put back");
    let order: Vec<JobId> = std::iter::from_fn(|| database.store.claim().expect("claims"))
        .map(|job| job.id)
        .collect();
    assert_eq!(order, ids, "one that was put back is the first again");
}

#[test]
fn a_job_that_kills_its_process_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = Database::open(folder.path()).submit("a").id;
    for crash in 1..=STARTS_AT_MOST {
        let database = Database::open(folder.path());
        let claimed = database.store.claim().expect("claims").expect("a job");
        assert_eq!((claimed.id, claimed.attempts), (id, crash));
        drop(database);
        let database = Database::open(folder.path());
        let recovery = database
            .runtime
            .block_on(database.store.recover())
            .expect("recovers");
        let expected = if crash < STARTS_AT_MOST {
            (1, 0)
        } else {
            (0, 1)
        };
        assert_eq!((recovery.again.len(), recovery.given_up.len()), expected);
    }
    let database = Database::open(folder.path());
    let job = database.job(id);
    assert_eq!(job.state, JobState::Failed);
    assert!(job.error.contains("3 times"), "{}", job.error);
    let events = database.events(id);
    assert!(
        events
            .iter()
            .zip(1..)
            .all(|(event, expected)| event.sequence == expected)
    );
    let last = events.last().and_then(|event| event.event.as_ref());
    assert!(matches!(last, Some(Event::Finished(_))), "{last:?}");
}

#[test]
fn a_second_attempt_leaves_no_double_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let id = database.submit("a").id;
    database
        .store
        .append_rows(id, vec![row(1, 2.0), row(11, 1.0), row(21, 0.5)])
        .expect("rows");
    let before = database.job(id).last_event;
    // The same again, at another time and speed: nothing new.
    let again = CurveRow {
        at_us: 9,
        samples_per_second: 1.0,
        ..row(1, 2.0)
    };
    database.store.append_rows(id, vec![again]).expect("rows");
    assert_eq!(database.job(id).last_event, before);
    // One that differs replaces it and what came after.
    database
        .store
        .append_rows(id, vec![row(11, 0.9)])
        .expect("rows");
    assert_eq!(database.job(id).last_event, before + 1);
    assert_eq!(database.steps(id), [1, 11]);
    assert_eq!(database.job(id).latest.map(|row| row.train_loss), Some(0.9));
}

#[test]
fn intentions_are_kept_until_they_are_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let job = database.submit("a").id;
    let intention = |epoch: u32| Intention {
        id: CheckpointId::generate(),
        job,
        epoch,
        step: 10,
        promotion: 1,
        weights_sha256: epoch.to_string(),
        state: IntentionState::Planned,
        serving_sequence: 0,
    };
    let (done, abandoned, open) = (intention(1), intention(2), intention(3));
    for each in [&done, &abandoned, &open] {
        database
            .store
            .plan_checkpoint(each.clone())
            .expect("planned");
    }
    database
        .store
        .checkpoint_committed(done.id)
        .expect("committed");
    database.store.checkpoint_done(done.id, 7).expect("done");
    database
        .store
        .checkpoint_abandoned(abandoned.id)
        .expect("abandoned");
    let unfinished = database.store.unfinished_checkpoints().expect("listed");
    assert_eq!(unfinished, [open]);
    assert_eq!(database.job(job).checkpoint_ids, [done.id.to_string()]);
    let before = database
        .store
        .committed_before(job, 1, "1".to_owned())
        .expect("asked");
    assert_eq!(before.map(|intention| intention.id), Some(done.id));
    assert!(
        database
            .store
            .committed_before(job, 2, "2".to_owned())
            .expect("asked")
            .is_none()
    );
}
