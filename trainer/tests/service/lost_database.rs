//! The files of the job database are removed or replaced while the trainer runs, or damaged before it
//! starts: nothing that was accepted is lost, and nothing is accepted that would be.

use crate::{
    child::wait_for_starts,
    metrics::scraped,
    store_support::{Database, supervisor},
    support::{Server, assert_status, endless_job, get, reach, small_job, submit, watch_to_end},
};
use digits_proto::v1::{CancelJobRequest, JobState};
use digits_testing::until;
use digits_trainer::store::{Store, StoreError};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tonic::Code;

const FILES: [&str; 3] = ["jobs.sqlite3", "jobs.sqlite3-wal", "jobs.sqlite3-shm"];

/// Submits jobs around the removal of `files`, and finds all of them after a restart.
async fn survives_the_removal_of(files: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--bundle-interval", "50ms"]).await;
    let mut client = server.training().await;
    let running = submit(&mut client, "a", endless_job()).await;
    let running = running.expect("accepted").job_id;
    reach(&mut client, &running, JobState::Running).await;
    for file in files {
        fs::remove_file(folder.path().join("state").join(file)).expect("removed");
    }
    let later = submit(&mut client, "b", small_job(1)).await;
    let later = later.expect("accepted").job_id;
    for file in FILES {
        assert!(folder.path().join("state").join(file).exists(), "{file}");
    }
    server.stop().await;

    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    reach(&mut client, &running, JobState::Running).await;
    let cancel = CancelJobRequest { job_id: running };
    client.cancel_job(cancel).await.expect("cancelled");
    watch_to_end(&mut client, &later, 0).await;
    let job = get(&mut client, &later).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_database_is_written_again() {
    survives_the_removal_of(&FILES).await;
    survives_the_removal_of(&FILES[..1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_write_ahead_log_is_written_again() {
    survives_the_removal_of(&FILES[1..]).await;
    survives_the_removal_of(&FILES[1..2]).await;
}

/// What a refusal says, what damages the files, and what mends them.
type Damage<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());

async fn is_ready(server: &Server) -> bool {
    let answer = scraped(server.admin(), "/readyz").await;
    answer.starts_with("HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_while_the_database_is_replaced_or_cannot_be_written_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let running = submit(&mut client, "a", endless_job()).await;
    let running = running.expect("accepted").job_id;
    reach(&mut client, &running, JobState::Running).await;
    let (database, away) = (state.join(FILES[0]), state.join("away"));
    let state_away = folder.path().join("state away");

    let replace = || {
        fs::rename(&database, &away).expect("moved");
        fs::copy(&away, &database).expect("copied");
    };
    let put_back = || fs::rename(&away, &database).expect("moved");
    let take_folder = || fs::rename(&state, &state_away).expect("moved");
    let bring_folder = || fs::rename(&state_away, &state).expect("moved");
    let cases: [Damage<'_>; 2] = [
        ("replaced while the trainer ran", &replace, &put_back),
        ("removed while the trainer ran", &take_folder, &bring_folder),
    ];
    for (what, break_it, mend_it) in cases {
        break_it();
        let refused = submit(&mut client, what, small_job(1)).await;
        let refused = refused.expect_err("not durable");
        assert_status(&refused, Code::FailedPrecondition, what);
        assert!(!refused.message().contains('/'), "no path goes out");
        let shown = until("not ready", async || {
            Ok((!is_ready(&server).await).then_some(()))
        });
        shown.await.expect("shown");
        let answer = scraped(server.admin(), "/readyz").await;
        assert!(answer.contains(what), "{answer}");
        let job = get(&mut client, &running).await;
        assert_eq!(job.state(), JobState::Running, "{}", job.error);
        mend_it();
        let ready = until("ready", async || Ok(is_ready(&server).await.then_some(())));
        ready.await.expect("ready");
        let accepted = submit(&mut client, what, small_job(1)).await;
        accepted.expect("accepted again");
    }
    server.stop().await;
    // What it knew was kept beside the database that took its place.
    let copy = rusqlite::Connection::open(state.join("jobs.sqlite3.copy")).expect("open");
    let jobs: i64 = copy
        .query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
        .expect("counted");
    assert_eq!(jobs, 1);
}

/// A folder with the database of one job, of which there is a bundle.
fn used() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    database.submit("a");
    database.runtime.block_on(database.store.close());
    let bundles = folder.path().join("bundles");
    fs::create_dir(&bundles).expect("made");
    fs::write(bundles.join("some.bundle"), b"bytes").expect("written");
    let database = folder.path().join(FILES[0]);
    (folder, database)
}

fn refusal(folder: &Path) -> String {
    wait_for_starts();
    match Store::open(folder, &supervisor()) {
        Err(error @ StoreError::Unusable { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn a_database_that_cannot_be_the_old_one_is_refused_and_left_as_it_is() {
    for (damage, reason) in [(Vec::new(), "is empty"), (vec![7; 8_192], "cannot be read")] {
        let (folder, database) = used();
        fs::write(&database, &damage).expect("written");
        let refusal = refusal(folder.path());
        for part in [&database.display().to_string(), reason, "backup", "storage"] {
            assert!(refusal.contains(part), "{part} in {refusal}");
        }
        assert_eq!(fs::read(&database).expect("there"), damage);
    }
    let (folder, database) = used();
    let mut bytes = fs::read(&database).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4_096].fill(7);
    fs::write(&database, &bytes).expect("written");
    assert!(refusal(folder.path()).contains("is damaged"));

    let (folder, database) = used();
    fs::remove_file(&database).expect("removed");
    assert!(refusal(folder.path()).contains("is missing"));
    assert!(!database.exists());
}

#[test]
fn a_copy_is_used_where_a_crash_came_before_it_was_in_place() {
    let (folder, database) = used();
    fs::rename(&database, folder.path().join("jobs.sqlite3.copy")).expect("renamed");
    // Of the database that was removed.
    fs::write(folder.path().join(FILES[1]), b"stale").expect("written");
    let found = Database::open(folder.path());
    let jobs = found.runtime.block_on(found.store.count_by_state());
    let jobs: u64 = jobs.expect("counted").iter().map(|(_, count)| count).sum();
    assert_eq!(jobs, 1);
    assert!(!folder.path().join("jobs.sqlite3.copy").exists());
}
