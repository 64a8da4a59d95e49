//! The cache: everything is verified, its size is bounded, and damaged data sets are fetched again.

use super::*;
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// A storage with a pushed data set, and an empty cache.
async fn pushed() -> (Storage, Arc<InMemory>, Manifest, TempDir) {
    let (storage, store) = memory();
    let manifest = push(&storage, dataset(0), as_name("shapes"))
        .await
        .unwrap()
        .manifest;
    (storage, store, manifest, tempfile::tempdir().unwrap())
}

fn cache(dir: &TempDir, limit_bytes: u64) -> Cache {
    Cache::new(dir.path().join("datasets"), limit_bytes)
}

fn folders(dir: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.path().join("datasets")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn a_fetched_data_set_equals_the_pushed_one_and_is_cached() {
    let (storage, store, manifest, dir) = pushed().await;
    let cache = cache(&dir, 1_000);
    let loaded = cache.load(&storage, "mine", &manifest).await.unwrap();
    assert_eq!(loaded, dataset(0));
    assert_eq!(folders(&dir).len(), 1);
    // The second load needs no storage.
    for key in keys(&store).await {
        store.delete(&Path::from(key)).await.unwrap();
    }
    assert_eq!(
        cache.load(&storage, "mine", &manifest).await.unwrap(),
        dataset(0)
    );
}

#[tokio::test]
async fn damage_on_the_storage_is_detected_and_leaves_no_files() {
    let cases: [(&str, &'static [u8], &str); 3] = [
        (
            "train-images-idx3-ubyte",
            &b"short"[..],
            "has 5 bytes, not 34",
        ),
        (
            "t10k-labels-idx1-ubyte",
            b"\0\0\x08\x01\0\0\0\x01\x02",
            "has SHA-256",
        ),
        (
            "train-labels-idx1-ubyte",
            b"\0\0\x08\x01\0\0\0\x03\x00\x02\x01",
            "has SHA-256",
        ),
    ];
    for (file, bytes, part) in cases {
        let (storage, store, manifest, dir) = pushed().await;
        put(
            &store,
            &format!("datasets/{}/{file}", manifest.digest),
            bytes,
        )
        .await;
        let error = cache(&dir, 1_000)
            .load(&storage, "mine", &manifest)
            .await
            .unwrap_err();
        assert!(matches!(error, PushedError::Damaged { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("{file} {part}")),
            "{error}"
        );
        assert_eq!(folders(&dir), Vec::<PathBuf>::new());
    }
    let (storage, store, manifest, dir) = pushed().await;
    let key = format!("datasets/{}/t10k-images-idx3-ubyte", manifest.digest);
    store.delete(&Path::from(key)).await.unwrap();
    let error = cache(&dir, 1_000)
        .load(&storage, "mine", &manifest)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("t10k-images-idx3-ubyte is missing"),
        "{error}"
    );
}

/// A flipped bit in any byte of any cached file is detected, and the data set is fetched again.
#[tokio::test]
async fn a_damaged_cached_data_set_is_fetched_again() {
    let (storage, _, manifest, dir) = pushed().await;
    let cache = cache(&dir, 1_000);
    cache.load(&storage, "mine", &manifest).await.unwrap();
    for (file, _) in manifest.files() {
        let path = folders(&dir)[0].join(file);
        let good = fs::read(&path).unwrap();
        for index in 0..good.len() {
            let mut bad = good.clone();
            bad[index] ^= 1;
            fs::write(&path, &bad).unwrap();
            let loaded = cache.load(&storage, "mine", &manifest).await.unwrap();
            assert_eq!(loaded, dataset(0), "{file}, byte {index}");
            assert_eq!(fs::read(&path).unwrap(), good, "{file}, byte {index}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(
            cache.load(&storage, "mine", &manifest).await.unwrap(),
            dataset(0)
        );
    }
}

#[tokio::test]
async fn the_least_recently_used_is_evicted_first() {
    let (storage, _) = memory();
    let dir = tempfile::tempdir().unwrap();
    let mut manifests = Vec::new();
    for salt in 0..3 {
        manifests.push(
            push(&storage, dataset(salt), as_name("shapes"))
                .await
                .unwrap()
                .manifest,
        );
    }
    let size = manifests[0].size_bytes();
    let cache = cache(&dir, 2 * size);
    let is_there = |index: usize| {
        let folder = dir.path().join("datasets").join(&manifests[index].digest);
        folder.exists()
    };
    let older = |index: usize, seconds: u64| {
        let folder = dir.path().join("datasets").join(&manifests[index].digest);
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        fs::File::open(folder).unwrap().set_modified(time).unwrap();
    };
    for (index, seconds) in [(0, 200), (1, 100)] {
        cache
            .load(&storage, "mine", &manifests[index])
            .await
            .unwrap();
        older(index, seconds);
    }
    // Used again, so that the other one is the least recently used.
    cache.load(&storage, "mine", &manifests[0]).await.unwrap();
    cache.load(&storage, "mine", &manifests[2]).await.unwrap();
    assert_eq!([0, 1, 2].map(is_there), [true, false, true]);

    let small = Cache::new(dir.path().join("small"), size - 1);
    let error = small
        .load(&storage, "mine", &manifests[0])
        .await
        .unwrap_err();
    assert!(matches!(error, PushedError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn files_of_an_ended_process_do_not_matter() {
    let (storage, _, manifest, dir) = pushed().await;
    let cache = cache(&dir, 1_000);
    let own = format!("partial-{}-{}", manifest.digest, std::process::id());
    for name in [own.as_str(), "partial-old", "a stranger's"] {
        let folder = dir.path().join("datasets").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("train-images-idx3-ubyte"), "half").unwrap();
    }
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(48 * 3600);
    let folder = fs::File::open(dir.path().join("datasets/partial-old")).unwrap();
    folder.set_modified(old).unwrap();
    assert_eq!(
        cache.load(&storage, "mine", &manifest).await.unwrap(),
        dataset(0)
    );
    let mut names: Vec<String> = folders(&dir)
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, [manifest.digest.as_str(), "a stranger's"]);
}

/// As the worker processes of a trainer share it: there is room for one data set only, and none is
/// evicted while another process reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caches_of_several_processes_share_a_folder() {
    let (storage, _) = memory();
    let dir = tempfile::tempdir().unwrap();
    let mut loads = Vec::new();
    for salt in 0..2 {
        let pushed = push(&storage, dataset(salt), as_name("shapes"));
        let manifest = pushed.await.unwrap().manifest;
        let cache = cache(&dir, manifest.size_bytes());
        let storage = storage.clone();
        loads.push(tokio::spawn(async move {
            for _ in 0..50 {
                let loaded = cache.load(&storage, "mine", &manifest).await.unwrap();
                assert_eq!(loaded, dataset(salt));
            }
        }));
    }
    for load in loads {
        load.await.unwrap();
    }
}
