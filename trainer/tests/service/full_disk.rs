//! Full disks: state or storage on a small tmpfs, which requires permission to mount.

use crate::child::output;
use crate::outages::publishing;
use crate::support::{
    Server, assert_gapless, endless_job, get, reach, small_job, submit, watch_to_end,
};
use digits_proto::v1::{
    EvaluationSpec, JobSpec, JobState, training_service_client::TrainingServiceClient,
};
use digits_testing::{skip, until};
use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};
use tonic::{Code, transport::Channel};

/// A small file system, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of the given size in MiB; `None`, with a message, where that is not permitted.
    fn mount(at: &Path, mebibytes: usize, test: &str) -> Option<Self> {
        fs::create_dir_all(at).expect("made");
        let mounted = output(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
                .arg(at),
        );
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        skip(
            test,
            "a file system in memory cannot be mounted here: run it as root",
        );
        None
    }

    /// Fills it up to the last byte.
    fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).expect("made");
        for size in [1 << 16, 1 << 10, 1] {
            let block = vec![1; size];
            while filler.write_all(&block).is_ok() {}
        }
    }

    /// Makes room again.
    fn clear(&self) {
        fs::remove_file(self.0.join("filler")).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a file may still be open.
        let _ = output(Command::new("umount").arg("-l").arg(&self.0));
    }
}

/// Waits for the end of a job, which must have failed; its reason, which names no path.
async fn fails(client: &mut TrainingServiceClient<Channel>, job_id: &str) -> String {
    let events = watch_to_end(client, job_id, 0).await;
    assert_gapless(&events, 1);
    let job = get(client, job_id).await;
    assert_eq!(job.state(), JobState::Failed);
    assert!(!job.error.contains('/'), "{}", job.error);
    job.error
}

async fn succeeds(client: &mut TrainingServiceClient<Channel>, request_id: &str) {
    let job = submit(client, request_id, small_job(1)).await;
    let job = job.expect("accepted");
    watch_to_end(client, &job.job_id, 0).await;
    let job = get(client, &job.job_id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
}

fn assert_intact(state: &Path) {
    let database = rusqlite::Connection::open(state.join("jobs.sqlite3")).expect("open");
    let found: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("checked");
    assert_eq!(found, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_stays_full_fails_the_job_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "a_storage_that_stays_full_fails_the_job_and_nothing_else";
    let Some(disk) = SmallDisk::mount(&folder.path().join("storage"), 4, name) else {
        return;
    };
    let server = Server::start(folder.path(), &["--max-outage", "300ms"]).await;
    let mut client = server.training().await;
    disk.fill();
    let job = submit(&mut client, "a", small_job(3)).await;
    let error = fails(&mut client, &job.expect("accepted").job_id).await;
    assert!(error.contains("the storage is full"), "{error}");
    disk.clear();
    succeeds(&mut client, "b").await;
    server.stop().await;
    assert_intact(&folder.path().join("state"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_stays_full_fails_the_job_and_spares_the_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let name = "a_state_folder_that_stays_full_fails_the_job_and_spares_the_database";
    let Some(disk) = SmallDisk::mount(&state, 8, name) else {
        return;
    };
    let server = Server::start(
        folder.path(),
        &["--bundle-interval", "50ms", "--max-outage", "300ms"],
    )
    .await;
    let mut client = server.training().await;
    let many_rows = JobSpec {
        evaluation: Some(EvaluationSpec {
            every_steps: Some(2),
            batch_size: None,
        }),
        ..endless_job()
    };
    let job = submit(&mut client, "a", many_rows).await;
    let job = job.expect("accepted");
    reach(&mut client, &job.job_id, JobState::Running).await;
    disk.fill();
    let error = fails(&mut client, &job.job_id).await;
    assert!(error.contains("job database is full"), "{error}");
    disk.clear();
    succeeds(&mut client, "b").await;
    server.stop().await;
    assert_intact(&state);
    // All of it is there at the next start.
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    assert_eq!(fails(&mut client, &job.job_id).await, error);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlasts_a_full_storage() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "a_job_outlasts_a_full_storage";
    let Some(disk) = SmallDisk::mount(&folder.path().join("storage"), 4, name) else {
        return;
    };
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    disk.fill();
    let job = submit(&mut client, "a", small_job(3)).await;
    let job = job.expect("accepted");
    let waiting = publishing(&mut client, &job.job_id).await;
    assert_eq!(waiting.reason, "the storage is full");
    disk.clear();
    let events = watch_to_end(&mut client, &job.job_id, 0).await;
    assert_gapless(&events, 1);
    let job = get(&mut client, &job.job_id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    assert_eq!(job.checkpoint_count, 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlasts_a_full_state_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let Some(disk) = SmallDisk::mount(&state, 8, "a_job_outlasts_a_full_state_folder") else {
        return;
    };
    let server = Server::start(folder.path(), &["--bundle-interval", "50ms"]).await;
    let mut client = server.training().await;
    let many_rows = JobSpec {
        evaluation: Some(EvaluationSpec {
            every_steps: Some(2),
            batch_size: None,
        }),
        ..small_job(40)
    };
    let job = submit(&mut client, "a", many_rows).await;
    let job = job.expect("accepted");
    reach(&mut client, &job.job_id, JobState::Running).await;
    disk.fill();
    let full = until("the disk is full", async || {
        let refused = submit(&mut client, "b", small_job(1)).await.err();
        Ok(refused.filter(|status| status.code() == Code::ResourceExhausted))
    });
    full.await.expect("refused");
    assert_eq!(
        get(&mut client, &job.job_id).await.state(),
        JobState::Running
    );
    disk.clear();
    let events = watch_to_end(&mut client, &job.job_id, 0).await;
    assert_gapless(&events, 1);
    let job = get(&mut client, &job.job_id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    server.stop().await;
    assert_intact(&state);
}
