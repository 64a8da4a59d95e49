//! Files of the storage: each is refused, or is what the storage says.

use crate::paths::repository;
use bytes::Bytes;
use digits_checkpoint::{
    Follower, LoadError, Storage, id::CheckpointId, list_checkpoints, load, manifest as read,
    manifest::Manifest, messages, record_file, serving, sha256_hex,
};
use object_store::{memory::InMemory, path::Path};
use std::{fs, sync::Arc};

const CHECKPOINT: &str = "01a22bb0-03ff-70d4-aa6b-93dd9a62e366";

/// A storage in memory.
fn storage() -> Storage {
    Storage::from_store(Arc::new(InMemory::new()), Path::default())
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

async fn create(storage: &Storage, key: &str, bytes: &[u8]) {
    let created = storage.create(key, Bytes::copy_from_slice(bytes)).await;
    created.expect("memory can be written");
}

fn id() -> CheckpointId {
    CHECKPOINT.parse().expect("an id")
}

fn key(name: &str) -> String {
    format!("checkpoints/{CHECKPOINT}/{name}")
}

/// A file of a valid checkpoint.
fn valid(name: &str) -> Vec<u8> {
    let folder = repository().join("tests/formats/0.1/storage");
    fs::read(folder.join(key(name))).expect("a folder of an earlier version")
}

/// `manifest.json`.
pub fn manifest(data: &[u8]) {
    block_on(async {
        let storage = storage();
        create(&storage, &key("manifest.json"), data).await;
        let found = read(&storage, id()).await;
        let listed = list_checkpoints(&storage).await.expect("a list");
        let Ok(Some(manifest)) = found else {
            assert!(listed.is_empty(), "{found:?} is listed");
            return;
        };
        assert_eq!(listed, std::slice::from_ref(&manifest));
        assert!(manifest.validate().is_ok());
        let _ = messages::checkpoint(&manifest);
        let _ = messages::trained_spec(&manifest.lineage);
        let written = serde_json::to_vec(&manifest).expect("it can be written");
        let again: Manifest = serde_json::from_slice(&written).expect("it can be read");
        assert_eq!(again, manifest);
    });
}

/// `model.safetensors`.
pub fn safetensors(data: &[u8]) {
    verified(data, &valid("exam.safetensors"));
}

/// `exam.safetensors`.
pub fn exam(data: &[u8]) {
    verified(&valid("model.safetensors"), data);
}

/// Loads a checkpoint of these files, whose digests are in its manifest.
fn verified(model: &[u8], exam: &[u8]) {
    let text = valid("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&text).expect("a manifest");
    for (file, bytes) in [
        (&mut manifest.files.model, model),
        (&mut manifest.files.exam, exam),
    ] {
        file.sha256 = sha256_hex(bytes);
        file.size_bytes = bytes.len() as u64;
    }
    let text = serde_json::to_vec(&manifest).expect("a manifest");
    block_on(async {
        let storage = storage();
        create(&storage, &key("model.safetensors"), model).await;
        create(&storage, &key("exam.safetensors"), exam).await;
        create(&storage, &key("manifest.json"), &text).await;
        match load(&storage, id()).await {
            Ok(loaded) => {
                let weights = loaded.layers.iter().flat_map(|layer| &layer.weight);
                assert!(weights.copied().all(f32::is_finite));
                let logits = loaded.exam.logits.len();
                assert_eq!(logits, loaded.exam.images * manifest.labels.len());
            }
            Err(LoadError::Refused(_)) => {}
            Err(LoadError::Unavailable(error)) => panic!("{error}"),
        }
    });
}

/// A record of the serving log, the only one.
pub fn serving_record(data: &[u8]) {
    block_on(async {
        let storage = storage();
        let model = "digits".parse().expect("a name");
        let key = format!("serving/digits/{}", record_file(1));
        create(&storage, &key, data).await;
        let mut follower = Follower::new(storage.clone(), model);
        let polled = follower.poll().await;
        let model = "digits".parse().expect("a name");
        let head = serving::head(&storage, &model).await;
        let Ok(Some(record)) = polled else {
            return;
        };
        assert_eq!(head.ok().flatten().as_ref(), Some(&record));
        assert_eq!(record.sequence, 1);
        let _ = messages::serving_record(&record);
        let written = serde_json::to_vec(&record).expect("it can be written");
        assert_eq!(
            serde_json::from_slice::<digits_checkpoint::record::ServingRecord>(&written)
                .expect("it can be read"),
            record
        );
    });
}
