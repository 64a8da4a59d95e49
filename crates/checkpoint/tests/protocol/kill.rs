//! Kills a process that publishes to a folder, at every write and at random times, while a reader
//! polls; the next process with the same id completes the publication.

use super::{
    crash::look,
    support::{Fault, FaultStore, draft},
};
use digits_checkpoint::{
    Storage,
    id::{CheckpointId, ModelName},
    load, publish,
    serving::{Policy, list, promote_published, record},
};
use digits_testing::{patience, until_every};
use object_store::{local::LocalFileSystem, path::Path};
use std::{
    env, fs,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// Writes of one run: model, exam, manifest, record.
const WRITES: usize = 4;
const SIGKILL: i32 = 9;
const FOLDER: &str = "TEST_PUBLISHER_FOLDER";
const ID: &str = "TEST_PUBLISHER_ID";
const WRITE: &str = "TEST_PUBLISHER_WRITE";

/// Not a test: the process that the tests below start. Without its variables it does nothing.
#[tokio::test]
async fn publisher_process() {
    let (Ok(folder), Ok(id)) = (env::var(FOLDER), env::var(ID)) else {
        return;
    };
    let store = FaultStore::new(
        LocalFileSystem::new_with_prefix(folder)
            .unwrap()
            .with_fsync(true),
    );
    if let Ok(write) = env::var(WRITE) {
        // "2-" ends before the third write, "2+" after it.
        let (number, side) = write.split_at(1);
        let end = if side == "+" {
            Fault::AbortAfter
        } else {
            Fault::AbortBefore
        };
        let before = vec![Fault::None; number.parse().unwrap()];
        store.set_faults(before.into_iter().chain([end]));
    }
    let storage = Storage::from_store(Arc::new(store), Path::default());
    let manifest = publish(&storage, draft(id.parse().unwrap(), 1, 0))
        .await
        .unwrap();
    let decision = promote_published(&storage, &manifest, Policy::Latest.into(), "job")
        .await
        .unwrap();
    let promoted = record(&storage, &manifest.model, decision.sequence).await;
    assert_eq!(promoted.unwrap().unwrap().primary(), Some(manifest.id));
}

fn start(folder: &std::path::Path, id: CheckpointId, write: Option<&str>) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "kill::publisher_process", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(ID, id.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(write) = write {
        command.env(WRITE, write);
    }
    command.spawn().unwrap()
}

/// Polls until the process has ended; returns whether it succeeded.
async fn look_until_end(storage: &Storage, mut child: Child) -> bool {
    let deadline = Instant::now() + patience();
    loop {
        let ended = child.try_wait().unwrap();
        look(storage).await;
        if let Some(status) = ended {
            return status.success();
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the publisher does not end");
        }
    }
}

async fn finish(folder: &std::path::Path, storage: &Storage, id: CheckpointId) {
    assert!(look_until_end(storage, start(folder, id, None)).await);
    load(storage, id).await.unwrap();
    assert_eq!(look(storage).await, 1);
    assert_eq!(list(storage, &ModelName::default()).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_publication_survives_a_kill_at_every_write() {
    for write in 0..WRITES {
        for side in ["-", "+"] {
            let dir = tempfile::tempdir().unwrap();
            let storage = Storage::open(dir.path().to_str().unwrap()).unwrap();
            let id = CheckpointId::generate();
            let child = start(dir.path(), id, Some(&format!("{write}{side}")));
            assert!(
                !look_until_end(&storage, child).await,
                "it was to be killed"
            );
            let landed = write + usize::from(side == "+");
            assert_eq!(
                look(&storage).await,
                usize::from(landed >= 3),
                "{write}{side}"
            );
            finish(dir.path(), &storage, id).await;
        }
    }
}

#[tokio::test]
async fn a_publication_survives_kills_at_random_times() {
    let mut killed = 0;
    for round in 0_u64..10 {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path().to_str().unwrap()).unwrap();
        let id = CheckpointId::generate();
        let mut child = start(dir.path(), id, None);
        // After its first file, later in each round; on a slow machine perhaps after its end.
        let begun = until_every(Duration::ZERO, "the publisher writes", async || {
            Ok(dir.path().join("checkpoints").exists().then_some(()))
        });
        begun.await.unwrap();
        for _ in 0..round {
            look(&storage).await;
        }
        child.kill().unwrap();
        let status = child.wait().unwrap();
        killed += usize::from(status.signal() == Some(SIGKILL));
        look(&storage).await;
        finish(dir.path(), &storage, id).await;
    }
    assert!(killed > 0, "every publisher ended before it was killed");
}

#[tokio::test]
async fn staging_files_of_a_killed_writer_are_invisible_and_swept() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().to_str().unwrap()).unwrap();
    let id = CheckpointId::generate();
    let folder = dir.path().join(format!("checkpoints/{id}"));
    let log = dir.path().join("serving/digits");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(&log).unwrap();
    for name in [
        "model.safetensors#1",
        "exam.safetensors#1",
        "manifest.json#1",
        "manifest.json#2",
    ] {
        fs::write(folder.join(name), "half").unwrap();
    }
    fs::write(log.join("00000000000000000001.json#1"), "half").unwrap();
    assert_eq!(look(&storage).await, 0);
    finish(dir.path(), &storage, id).await;
    assert!(folder.join("manifest.json#1").exists());
}
