//! Pushing, finding and fetching, on a storage in memory.

#![allow(clippy::unwrap_used)]

mod caching;
mod golden;
mod handwriting;
mod reads;

use super::*;
use crate::{Dataset, Images, LabelledImages, mnist, numbered_names, synthetic};
use digits_checkpoint::{Storage, manifest::PictureNormalization};
use futures::StreamExt as _;
use object_store::{
    ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, memory::InMemory, path::Path,
};
use std::sync::Arc;

/// An empty storage, and the store beneath it.
fn memory() -> (Storage, Arc<InMemory>) {
    let store = Arc::new(InMemory::new());
    (Storage::from_store(store.clone(), Path::default()), store)
}

/// Three training images and one test image of 2×3, whose pixels depend on `salt`.
fn dataset(salt: u8) -> Dataset {
    let part = |labels: Vec<u16>| LabelledImages {
        images: Images {
            count: labels.len(),
            height: 2,
            width: 3,
            pixels: (0..labels.len() * 6)
                .map(|index| index as u8 ^ salt)
                .collect(),
        },
        labels,
    };
    let names = vec!["a".to_owned(), "bé".to_owned(), "300".to_owned()];
    Dataset::new("mine", part(vec![0, 2, 2]), part(vec![1]), names).unwrap()
}

fn as_name(name: &str) -> Push {
    Push {
        name: name.parse().unwrap(),
        picture_normalization: PictureNormalization::None,
        description: String::new(),
        by: "ada".to_owned(),
    }
}

async fn keys(store: &InMemory) -> Vec<String> {
    let mut keys: Vec<String> = store
        .list(None)
        .map(|meta| meta.unwrap().location.to_string())
        .collect()
        .await;
    keys.sort();
    keys
}

async fn put(store: &InMemory, key: &str, bytes: &'static [u8]) {
    let options = PutOptions::from(PutMode::Overwrite);
    store
        .put_opts(&Path::from(key), bytes.into(), options)
        .await
        .unwrap();
}

async fn find(storage: &Storage, text: &str) -> Result<Pinned, PushedError> {
    resolve(storage, &text.parse()?).await
}

#[tokio::test]
async fn a_repeated_push_changes_nothing_and_other_data_supersedes() {
    let (storage, store) = memory();
    let first = push(&storage, dataset(0), as_name("shapes")).await.unwrap();
    assert!(!first.content_was_there && !first.name_was_there);
    assert_eq!(first.record.sequence, 1);
    let there = keys(&store).await;
    assert_eq!(there.len(), 6, "{there:?}");

    let again = push(&storage, dataset(0), as_name("shapes")).await.unwrap();
    assert!(again.content_was_there && again.name_was_there);
    assert_eq!(
        (&again.record, &again.manifest),
        (&first.record, &first.manifest)
    );
    assert_eq!(keys(&store).await, there);

    // Another name adds a record; the content is stored once.
    let other = push(&storage, dataset(0), as_name("forms")).await.unwrap();
    assert!(other.content_was_there && !other.name_was_there);
    assert_eq!(keys(&store).await.len(), 7);

    let newer = push(&storage, dataset(1), as_name("shapes")).await.unwrap();
    assert_eq!(newer.record.sequence, 2);
    let (old, new) = (first.manifest.digest, newer.manifest.digest);
    assert_eq!(find(&storage, "shapes").await.unwrap().digest, new);
    assert_eq!(find(&storage, "forms").await.unwrap().digest, old);
    assert_eq!(
        find(&storage, &format!("shapes@{}", &old[..8]))
            .await
            .unwrap()
            .digest,
        old
    );
    // Earlier content can be made the newest again.
    let back = push(&storage, dataset(0), as_name("shapes")).await.unwrap();
    assert_eq!(
        (
            back.record.sequence,
            back.content_was_there,
            back.name_was_there
        ),
        (3, true, false)
    );
    assert_eq!(find(&storage, "shapes").await.unwrap().digest, old);

    let listed = list(&storage).await.unwrap();
    let found: Vec<(&str, &str, bool)> = listed
        .iter()
        .map(|it| {
            (
                it.record.name.as_str(),
                it.record.digest.as_str(),
                it.superseded,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("forms", &*old, false),
            ("shapes", &old, false),
            ("shapes", &new, true)
        ]
    );
}

#[tokio::test]
async fn an_interrupted_push_is_completed_by_the_next() {
    let (storage, store) = memory();
    push(&storage, dataset(0), as_name("shapes")).await.unwrap();
    let whole = keys(&store).await;
    let names_last = |key: &&String| key.contains("/names/");
    let (names, mut files): (Vec<&String>, Vec<&String>) = whole.iter().partition(names_last);
    files.sort_by_key(|key| key.ends_with("manifest.json"));
    // Written in this order: files, manifest, name. It is visible only after the last.
    let order = [&files[..], &names[..]].concat();
    for begun in 0..order.len() {
        for key in &order[begun..] {
            store.delete(&Path::from(key.as_str())).await.unwrap();
        }
        assert!(matches!(
            find(&storage, "shapes").await,
            Err(PushedError::Unknown { .. })
        ));
        assert!(list(&storage).await.unwrap().is_empty());
        push(&storage, dataset(0), as_name("shapes")).await.unwrap();
        assert_eq!(keys(&store).await, whole, "after {begun} keys");
    }
}

#[tokio::test]
async fn concurrent_pushes_both_succeed() {
    let (storage, _) = memory();
    let pushes = (0..8).map(|salt| push(&storage, dataset(salt), as_name("shapes")));
    let receipts = futures::future::join_all(pushes).await;
    let mut sequences: Vec<u64> = receipts
        .into_iter()
        .map(|it| it.unwrap().record.sequence)
        .collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=8).collect::<Vec<_>>());
}

#[tokio::test]
async fn unknown_and_ambiguous_references_are_refused_with_a_remedy() {
    let (storage, store) = memory();
    let first = push(&storage, dataset(0), as_name("shapes"))
        .await
        .unwrap()
        .manifest
        .digest;
    // A digest with the same prefix.
    let twin = format!("{}{}", &first[..8], "0".repeat(56));
    let record = NameRecord {
        format: FORMAT,
        name: "shapes".parse().unwrap(),
        sequence: 2,
        digest: twin.clone(),
        picture_normalization: None,
        description: String::new(),
        by: String::new(),
        pushed_at: jiff::Timestamp::now(),
    };
    let text: &'static [u8] = serde_json::to_vec(&record).unwrap().leak();
    put(
        &store,
        "datasets/names/shapes/00000000000000000002.json",
        text,
    )
    .await;
    for (reference, part) in [
        (format!("shapes@{}", &first[..8]), "give more digits"),
        (
            "shapes@00000000".to_owned(),
            "no data set shapes@00000000 was pushed",
        ),
        ("nothing".to_owned(), "no data set nothing was pushed"),
        (format!("nothing@{first}"), "was pushed"),
        (
            format!("shapes@{first}+round"),
            "8 to 64 hexadecimal digits",
        ),
        ("shapes+plain".to_owned(), "is not the name of a data set"),
        ("shapes@0000000".to_owned(), "8 to 64 hexadecimal digits"),
        ("shapes@zzzzzzzz".to_owned(), "8 to 64 hexadecimal digits"),
        ("../shapes".to_owned(), "is not the name of a data set"),
        ("Shapes".to_owned(), "is not the name of a data set"),
        ("..".to_owned(), "is not the name of a data set"),
        (String::new(), "is not the name of a data set"),
    ] {
        let error = find(&storage, &reference).await.unwrap_err().to_string();
        assert!(error.contains(part), "{reference}: {error}");
    }
    let whole = find(&storage, &format!("shapes@{}", first.to_uppercase()))
        .await
        .unwrap();
    assert_eq!(whole.to_string(), format!("shapes@{first}"));
    assert_eq!(whole.to_string().parse::<Pinned>().unwrap(), whole);
    assert!("shapes".parse::<Pinned>().is_err());
}

#[tokio::test]
async fn an_unreadable_newest_record_is_an_error() {
    let (storage, store) = memory();
    push(&storage, dataset(0), as_name("shapes")).await.unwrap();
    put(
        &store,
        "datasets/names/shapes/00000000000000000002.json",
        b"{\"format\": 2}",
    )
    .await;
    let error = find(&storage, "shapes").await.unwrap_err().to_string();
    assert!(
        error.contains("record 2 of the name shapes cannot be understood: format 2"),
        "{error}"
    );
    // A new push replaces it.
    let receipt = push(&storage, dataset(0), as_name("shapes")).await.unwrap();
    assert_eq!(receipt.record.sequence, 3);
    assert!(find(&storage, "shapes").await.is_ok());
}

#[tokio::test]
async fn names_of_built_in_data_sets_are_reserved() {
    let (storage, store) = memory();
    for name in ["mnist", "synthetic"] {
        let error = push(&storage, dataset(0), as_name(name)).await.unwrap_err();
        assert!(matches!(error, PushedError::Reserved { .. }), "{error}");
    }
    let drawn = synthetic::generate(&synthetic::Options {
        train: 2,
        test: 2,
        seed: 0,
    });
    assert!(push(&storage, drawn, as_name("synthetic")).await.is_err());
    assert_eq!(keys(&store).await, [""; 0]);
    // MNIST itself may have the name; only the digest decides.
    let mut mnist = dataset(0);
    mnist.digest = mnist::content_digest();
    assert!(check(&mnist, &as_name("mnist")).is_ok());
}

#[tokio::test]
async fn unsuitable_data_sets_are_not_pushed() {
    let (storage, store) = memory();
    let wide = |height: usize, width: usize| {
        let part = |label| LabelledImages {
            images: Images {
                count: 1,
                height,
                width,
                pixels: vec![0; height * width].into(),
            },
            labels: vec![label],
        };
        Dataset::new("wide", part(0), part(1), numbered_names(2)).unwrap()
    };
    let mut named = dataset(0);
    named.label_names[1] = "x".repeat(257);
    let mut broken = dataset(0);
    broken.train.labels[0] = 3;
    let push_as = |description: &str| Push {
        description: description.to_owned(),
        ..as_name("shapes")
    };
    for (data, how, part) in [
        (wide(1_025, 1_024), push_as(""), "1025×1024"),
        (named, push_as(""), "name of label 1"),
        (broken, push_as(""), "has label 3"),
        (dataset(0), push_as(&"x".repeat(201)), "description"),
        (dataset(0), push_as("a\nb"), "description"),
    ] {
        let error = push(&storage, data, how).await.unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(keys(&store).await, [""; 0]);
    assert!(
        push(&storage, wide(1_024, 1_024), as_name("wide"))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn other_bytes_under_one_digest_are_an_error() {
    let (storage, store) = memory();
    let receipt = push(&storage, dataset(0), as_name("shapes")).await.unwrap();
    let digest = receipt.manifest.digest;
    store
        .delete(&Path::from(format!("datasets/{digest}/manifest.json")))
        .await
        .unwrap();
    put(
        &store,
        &format!("datasets/{digest}/t10k-labels-idx1-ubyte"),
        b"other",
    )
    .await;
    let error = push(&storage, dataset(0), as_name("shapes"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("t10k-labels-idx1-ubyte is there with other content"),
        "{error}"
    );
    assert!(error.contains("remove its folder"), "{error}");
}
