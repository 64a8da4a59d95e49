//! Opening a storage, and the probe by which writers refuse an unsuitable one.

use super::support::{Fault, draft, memory};
use bytes::Bytes;
use digits_checkpoint::{
    Created, Storage, StorageError, id::CheckpointId, list_checkpoints, load, publish,
};
use object_store::{local::LocalFileSystem, path::Path};
use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

#[tokio::test]
async fn a_folder_opens_by_address_or_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new folder/deep");
    let by_path = Storage::open(path.to_str().unwrap()).unwrap();
    by_path.probe().await.unwrap();
    let manifest = publish(&by_path, draft(CheckpointId::generate(), 1, 0))
        .await
        .unwrap();

    let by_address = Storage::open(by_path.url()).unwrap();
    assert!(by_address.url().starts_with("file:///") && by_address.url().ends_with("/deep"));
    assert_eq!(
        list_checkpoints(&by_address).await.unwrap(),
        std::slice::from_ref(&manifest)
    );
    load(&by_address, manifest.id).await.unwrap();

    let folder = path.join(format!("checkpoints/{}", manifest.id));
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["exam.safetensors", "manifest.json", "model.safetensors"]
    );
    // Another user's inference service must be able to read them.
    let mode = fs::metadata(folder.join("model.safetensors"))
        .unwrap()
        .permissions()
        .mode();
    let plain = fs::File::create(path.join("plain"))
        .unwrap()
        .metadata()
        .unwrap();
    assert_eq!(mode, plain.permissions().mode());
}

/// Above 16 MiB it is sent and compared in pieces.
#[tokio::test]
async fn a_value_of_several_parts_is_one_value() {
    let (storage, _) = memory();
    for size in [10, (16 << 20) + 10] {
        let value: Bytes = (0..size).map(|index| (index % 251) as u8).collect();
        let key = format!("values/{size}");
        let parts = [value.slice(..3), value.slice(3..)];
        let created = storage.create_of(&key, &parts).await.unwrap();
        assert_eq!(created, Created::Ours);
        assert_eq!(storage.range(&key, 0..size as u64).await.unwrap(), value);
        // The same bytes, divided in another way.
        let again = storage.create(&key, value.clone()).await.unwrap();
        assert_eq!(again, Created::Ours);
        let mut other = value.to_vec();
        other[size as usize - 1] ^= 1;
        let other = storage.create(&key, other.into()).await.unwrap();
        assert_eq!(other, Created::Theirs);
        let shorter = storage.create_of(&key, &parts[..1]).await.unwrap();
        assert_eq!(shorter, Created::Theirs);
    }
}

#[test]
fn invalid_addresses_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside = format!("{}/below", file.path().display());
    let cases = [
        ("", "folder"),
        ("gopher://bucket", "gs://"),
        ("gs://", "bucket"),
        ("az://user:hush@container/x", "AZURE_"),
        ("http://127.0.0.1/x", "s3://"),
        ("file://relative/path", "file:///"),
        ("s3://", "bucket"),
        ("s3://user:hush@bucket/x", "AWS_"),
        ("s3://bucket/x?token=hush", "AWS_"),
        (&inside, "storage folder"),
    ];
    for (address, part) in cases {
        let error = Storage::open(address).unwrap_err().to_string();
        assert!(error.contains(part), "{address}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn a_bucket_needs_no_connection_to_be_opened() {
    let storage = Storage::open("s3://bucket/some/prefix/").unwrap();
    assert_eq!(storage.url(), "s3://bucket/some/prefix");
}

#[tokio::test(start_paused = true)]
async fn the_probe_accepts_good_storages() {
    for fault in [
        Fault::None,
        Fault::FailBefore,
        Fault::ExistsThoughOurs,
        Fault::ExistsThoughAbsent,
    ] {
        let (storage, store) = memory();
        store.set_faults([fault]);
        storage.probe().await.unwrap();
        let stays = object_store::ObjectStore::list(store.as_ref(), None);
        assert_eq!(futures::StreamExt::count(stays).await, 0, "{fault:?}");
    }
}

#[tokio::test]
async fn the_probe_detects_a_storage_that_overwrites() {
    let (_, store) = memory();
    store.set_overwriting();
    let storage = Storage::from_store(store, Path::default());
    let error = storage.probe().await.unwrap_err();
    assert!(
        matches!(error, StorageError::NotExclusive { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn the_probe_detects_a_storage_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    // A file where the folder of the probe would be; root ignores permissions, but not this.
    fs::write(dir.path().join("probe"), "").unwrap();
    let store = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
    let storage = Storage::from_store(Arc::new(store), Path::default());
    let error = storage.probe().await.unwrap_err();
    assert!(error.to_string().contains("cannot be written"), "{error}");
}
