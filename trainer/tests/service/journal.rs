//! The job database with a journal: another state folder gets everything from the storage, and a
//! trainer that was replaced or whose storage fails accepts nothing.

use crate::store_support::{SECOND, new_job, new_sweep, supervisor};
use digits_checkpoint::{
    Storage,
    journal::{Fence, Identity, Journal},
};
use digits_testing::{patience, until};
use digits_trainer::{
    job::{JobId, JobState},
    store::{
        ImportUse, Job, JobOutcome, JournalLimits, JournalSettings, JournalState, Machine, Store,
        StoreError, Submitted, Survivors, Takeover,
    },
    sweep::TrialResult,
};
use futures::poll;
use rusqlite::{Connection, types::Value};
use std::{fs, path::Path, pin::pin, time::Duration};
use tokio::{
    runtime::Handle,
    sync::watch::{self, Receiver},
    task::spawn_blocking,
    time::timeout,
};

/// Longer than any test: only an orderly end or an operator lets another process take over.
const NEVER: Duration = Duration::from_secs(3600);

struct Node {
    store: Store,
    state: Receiver<JournalState>,
}

impl Node {
    /// A trainer with its state in `folder`/`name`, whose storage is `folder`/storage.
    async fn open(folder: &Path, name: &str, takeover: Takeover, lease: Duration) -> Self {
        let storage = folder.join("storage").display().to_string();
        let storage = Storage::open(&storage).expect("a storage");
        let journal = Journal::new(storage, "t".parse().expect("a name"));
        let identity = Identity {
            nonce: JobId::generate().to_string(),
            folder: name.to_owned(),
            host: format!("host of {name}"),
            since: jiff::Timestamp::now(),
        };
        let (shown, state) = watch::channel(JournalState::Starting);
        let settings = JournalSettings {
            fence: Fence::new(journal.clone(), &identity),
            journal,
            identity,
            takeover,
            lease,
            limits: JournalLimits {
                snapshot_entries: 5,
                epoch_entries: 12,
            },
            runtime: Handle::current(),
            state: shown,
        };
        let folder = folder.join(name);
        let opening = move || Store::open_journaled(&folder, &supervisor(), settings);
        let opened = spawn_blocking(opening).await.expect("no panic");
        Self {
            store: opened.expect("opened"),
            state,
        }
    }

    async fn held(folder: &Path, name: &str) -> Self {
        let mut node = Self::open(folder, name, Takeover::AtOnce, NEVER).await;
        node.until(|state| *state == JournalState::Held).await;
        node
    }

    async fn until(&mut self, is_so: impl FnMut(&JournalState) -> bool) -> JournalState {
        let reached = timeout(patience(), self.state.wait_for(is_so)).await;
        reached.expect("in time").expect("open").clone()
    }

    async fn submit(&self, request_id: &str) -> Result<Job, StoreError> {
        match self.store.submit(new_job(request_id), 10).await? {
            Submitted::New(job) | Submitted::Existing(job) => Ok(*job),
        }
    }

    /// Claims a job and ends it.
    async fn finish(&self, outcome: JobOutcome) {
        let store = self.store.clone();
        let finished = spawn_blocking(move || {
            let job = store.claim(Machine::Shared)?.expect("a job");
            store.finish(job.id, outcome)
        });
        finished.await.expect("no panic").expect("finished");
    }
}

/// All rows of all tables but the journal's own.
fn dump(folder: &Path) -> Vec<(String, Vec<Vec<Value>>)> {
    let database = Connection::open(folder.join("jobs.sqlite3")).expect("opened");
    let mut names = database
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'journal' ORDER BY name")
        .expect("a query");
    let names = names.query_map([], |row| row.get(0)).expect("names");
    let names: Vec<String> = names.collect::<Result<_, _>>().expect("names");
    names
        .into_iter()
        .map(|name| {
            let mut rows = database
                .prepare(&format!("SELECT * FROM \"{name}\" ORDER BY 1, 2"))
                .expect("a query");
            let columns = rows.column_count();
            let rows = rows.query_map([], |row| (0..columns).map(|it| row.get(it)).collect());
            let rows = rows.expect("rows").collect::<Result<_, _>>();
            (name, rows.expect("rows"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_folder_gets_every_row_from_the_storage() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = Node::held(dir.path(), "a").await;
    let store = &first.store;
    let (done, running) = (first.submit("1").await, first.submit("2").await);
    first.finish(JobOutcome::failed("such".to_owned())).await;
    let claiming = store.clone();
    let claimed = spawn_blocking(move || claiming.claim(Machine::Shared)).await;
    let claimed = claimed.expect("no panic").expect("claims").expect("a job");
    assert_eq!(claimed.id, running.expect("accepted").id);
    store.begin_run(claimed.id).await.expect("an attempt");
    store
        .record_bundle(claimed.id, 7, SECOND)
        .await
        .expect("recorded");
    let waiting = first.submit("3").await.expect("accepted");
    let cancelled = first.submit("4").await.expect("accepted");
    store.cancel(cancelled.id).await.expect("cancelled");
    let used = ImportUse {
        imports: 1,
        bytes: 5,
    };
    store
        .add_import("client".to_owned(), used)
        .await
        .expect("counted");
    store
        .submit_sweep(new_sweep("s", 3))
        .await
        .expect("accepted");
    let result = TrialResult::Without("such".to_owned());
    store.end_trial(1, 2, result).await.expect("ended");
    store.close().await;
    let second = Node::held(dir.path(), "b").await;
    let found = second
        .store
        .job(done.expect("accepted").id)
        .await
        .expect("a job");
    assert_eq!(
        (found.state, found.error.as_str()),
        (JobState::Failed, "such")
    );
    assert_eq!(second.submit("3").await.expect("known").id, waiting.id);
    second.store.close().await;
    let all = dump(&dir.path().join("a"));
    assert_eq!(dump(&dir.path().join("b")), all);
    let rows = |name: &str| {
        all.iter()
            .find(|(table, _)| table == name)
            .map(|it| it.1.len())
    };
    for (table, count) in [
        ("jobs", 4),
        ("labels", 4),
        ("runs", 1),
        ("imports", 1),
        ("sweeps", 1),
        ("trials", 3),
    ] {
        assert_eq!(rows(table), Some(count), "{table}");
    }
    // Numbers go on where they were, in both.
    let first = Node::held(dir.path(), "a").await;
    let recovered = first
        .store
        .recover(Survivors::Nothing)
        .await
        .expect("recovered");
    assert_eq!(recovered.resumed, [claimed.id]);
    assert_eq!(first.submit("5").await.expect("accepted").number, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_trainer_accepts_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut first = Node::held(dir.path(), "a").await;
    let accepted = first.submit("1").await.expect("accepted");
    let second = Node::held(dir.path(), "b").await;
    let refused = first.submit("2").await;
    assert!(matches!(refused, Err(StoreError::Replaced)), "{refused:?}");
    let failed = |state: &JournalState| matches!(state, JournalState::Failed(_));
    first.until(failed).await;
    assert!(first.store.job(accepted.id).await.is_ok(), "reads go on");
    assert_eq!(second.submit("1").await.expect("known").id, accepted.id);
    let new = second.submit("2").await.expect("accepted");
    assert_eq!(new.number, 2, "nothing was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_waits_for_one_that_lives_and_not_for_one_that_has_ended() {
    let dir = tempfile::tempdir().expect("a folder");
    let lease = Duration::from_millis(300);
    let mut first = Node::open(dir.path(), "a", Takeover::WhenSilent, lease).await;
    first.until(|state| *state == JournalState::Held).await;
    let mut second = Node::open(dir.path(), "b", Takeover::WhenSilent, NEVER).await;
    let held = |state: &JournalState| matches!(state, JournalState::HeldBy(_));
    let by = second.until(held).await;
    assert_eq!(by, JournalState::HeldBy("host of a".to_owned()));
    let refused = second.submit("1").await;
    assert!(
        matches!(refused, Err(StoreError::NotJournaled(_))),
        "{refused:?}"
    );
    first.submit("1").await.expect("accepted");
    // It shows that it lives, also without work.
    let entries = dir
        .path()
        .join(format!("storage/trainer/t/journal/{:020}", 1));
    let count = || fs::read_dir(&entries).expect("a folder").count();
    let before = count();
    let beats = until("signs of life", async || {
        Ok((count() >= before + 3).then_some(()))
    });
    beats.await.expect("in time");
    first.store.close().await;
    second.until(|state| *state == JournalState::Held).await;
    // Killed: silent from now on.
    let mut third = Node::open(dir.path(), "c", Takeover::WhenSilent, lease).await;
    third.until(held).await;
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_committed_that_the_storage_does_not_have() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = Node::held(dir.path(), "a").await;
    let job = node.submit("1").await.expect("accepted").id;
    let journal = dir.path().join("storage/trainer/t/journal");
    let away = dir.path().join("away");
    fs::rename(&journal, &away).expect("away");
    fs::write(&journal, b"").expect("a file in its place");
    // What the trainer itself writes has an answer once it is known what became of it.
    let mut own = pin!(node.store.record_bundle(job, 7, SECOND));
    assert!(poll!(&mut own).is_pending());
    for _ in 0..2 {
        let refused = node.submit("2").await;
        assert!(
            matches!(refused, Err(StoreError::NotJournaled(_))),
            "{refused:?}"
        );
    }
    let counts = node.store.count_by_state().await.expect("reads go on");
    assert!(counts.contains(&(JobState::Queued, 1)), "{counts:?}");
    assert!(poll!(&mut own).is_pending(), "it is unknown still");
    fs::remove_file(&journal).expect("removed");
    fs::rename(&away, &journal).expect("back");
    let own = timeout(patience(), own).await.expect("in time");
    assert!(matches!(own, Err(StoreError::NotJournaled(_))), "{own:?}");
    assert_eq!(node.submit("2").await.expect("accepted").number, 2);
    let other = Node::held(dir.path(), "b").await;
    assert_eq!(other.submit("3").await.expect("accepted").number, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_do_not_belong_to_the_journal_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = Node::held(dir.path(), "a").await;
    node.submit("1").await.expect("accepted");
    node.store.close().await;
    let plain = |name: &str| {
        let folder = dir.path().join(name);
        async move {
            let opening = move || Store::open(&folder, &supervisor());
            let opened = spawn_blocking(opening).await.expect("no panic");
            opened.expect("opened")
        }
    };
    let store = plain("b").await;
    store.submit(new_job("other"), 10).await.expect("accepted");
    store.close().await;
    // Used without its journal.
    plain("a").await.close().await;
    for (name, reason) in [
        ("b", "has jobs that the journal"),
        ("a", "used without --journal"),
    ] {
        let mut refused = Node::open(dir.path(), name, Takeover::AtOnce, NEVER).await;
        let failed = |state: &JournalState| matches!(state, JournalState::Failed(_));
        let JournalState::Failed(found) = refused.until(failed).await else {
            unreachable!("waited for");
        };
        assert!(found.contains(reason), "{found}");
        refused.store.close().await;
    }
    assert_eq!(
        Node::held(dir.path(), "c")
            .await
            .submit("1")
            .await
            .expect("known")
            .number,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_snapshots_contain_is_deleted_from_the_storage() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = Node::held(dir.path(), "a").await;
    let journal = dir.path().join("storage/trainer/t");
    let first = journal.join(format!("journal/{:020}", 1));
    let mut jobs = 0;
    let entries = || fs::read_dir(&first).expect("a folder").count();
    // The seal stays.
    let deleted = until("entries are deleted", async || {
        jobs += 1;
        let accepted = node.store.submit(new_job(&jobs.to_string()), 100_000);
        accepted.await.expect("accepted");
        Ok(
            (journal.join(format!("epochs/{:020}.json", 3)).exists() && entries() == 1)
                .then_some(()),
        )
    });
    deleted.await.expect("in time");
    let snapshots = fs::read_dir(journal.join("snapshots"))
        .expect("a folder")
        .count();
    assert!((2..=3).contains(&snapshots), "{snapshots}");
    node.store.close().await;
    let other = Node::held(dir.path(), "b").await;
    let found = other.store.count_by_state().await.expect("counted");
    assert!(
        found.contains(&(JobState::Queued, jobs)),
        "{found:?}, {jobs}"
    );
    other.store.close().await;
    assert_eq!(dump(&dir.path().join("b")), dump(&dir.path().join("a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn signs_of_life_are_deleted_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = Node::held(dir.path(), "a").await;
    let job = node.submit("1").await.expect("accepted");
    node.store.close().await;
    // Without work.
    let lease = Duration::from_millis(300);
    let mut node = Node::open(dir.path(), "a", Takeover::AtOnce, lease).await;
    node.until(|state| *state == JournalState::Held).await;
    let journal = dir.path().join("storage/trainer/t/journal");
    let entries = journal.join(format!("{:020}", 2));
    // The seal stays.
    let deleted = until("entries are deleted", async || {
        Ok((fs::read_dir(&entries).expect("a folder").count() == 1).then_some(()))
    });
    deleted.await.expect("in time");
    node.store.close().await;
    let other = Node::held(dir.path(), "b").await;
    assert_eq!(other.submit("1").await.expect("known").id, job.id);
}

/// It was to begin a journal, whose storage failed; then another one did.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_has_not_begun_its_journal_is_not_taken_for_a_part_of_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let trainer = dir.path().join("storage/trainer/t");
    let journal = trainer.join("journal");
    for name in ["a", "b"] {
        let folder = dir.path().join(name);
        let opening = move || Store::open(&folder, &supervisor());
        let store = spawn_blocking(opening).await.expect("no panic");
        let store = store.expect("opened");
        store.submit(new_job(name), 10).await.expect("accepted");
        store.close().await;
        fs::create_dir_all(&trainer).expect("a folder");
        fs::write(&journal, b"").expect("a file in its place");
        let mut node = Node::open(dir.path(), name, Takeover::AtOnce, NEVER).await;
        let failing = |state: &JournalState| matches!(state, JournalState::Unreachable(_));
        node.until(failing).await;
        node.store.close().await;
        fs::remove_file(&journal).expect("removed");
        if name == "a" {
            fs::remove_dir_all(&trainer).expect("removed");
        }
    }
    // That of the other begins where it failed.
    let other = Node::held(dir.path(), "b").await;
    assert_eq!(other.submit("b").await.expect("known").number, 1);
    other.store.close().await;
    let mut refused = Node::open(dir.path(), "a", Takeover::AtOnce, NEVER).await;
    let ended =
        |state: &JournalState| matches!(state, JournalState::Failed(_) | JournalState::Held);
    let found = refused.until(ended).await;
    assert!(
        matches!(&found, JournalState::Failed(reason) if reason.contains("has jobs that the journal")),
        "{found:?}"
    );
    let jobs = refused.store.count_by_state().await.expect("counted");
    assert!(jobs.contains(&(JobState::Queued, 1)), "{jobs:?}");
    refused.store.close().await;
}
