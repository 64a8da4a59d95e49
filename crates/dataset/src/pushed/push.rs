//! Pushes data sets to the storage, atomically.

use super::{
    DatasetName, FILES, MANIFEST, Manifest, NameRecord, PushedError, key, manifest, names,
};
use crate::{Dataset, idx, mnist, synthetic};
use bytes::Bytes;
use digits_checkpoint::{Created, Storage, StorageError, limits, manifest::PictureNormalization};
use jiff::Timestamp;

/// Maximum length of a description and of a pusher's name, in characters.
const MAX_TEXT_CHARS: usize = 200;

/// Options of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Its name.
    pub name: DatasetName,
    /// Normalization of a user's picture for networks trained on this data set.
    pub picture_normalization: PictureNormalization,
    /// A description; at most 200 characters.
    pub description: String,
    /// Author of the push, as free text of at most 200 characters.
    pub by: String,
}

/// The result of a push.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// Manifest of the content, with the picture normalization of the record.
    pub manifest: Manifest,
    /// The newest record of the name.
    pub record: NameRecord,
    /// Whether the content existed before.
    pub content_was_there: bool,
    /// Whether the name had this content and picture normalization before.
    pub name_was_there: bool,
}

/// Checks that a data set can be pushed, trained on and served. [`push`] calls this itself.
///
/// # Errors
/// [`PushedError::Reserved`] for the name of a built-in data set with other content,
/// [`PushedError::Unsuitable`], and [`PushedError::Dataset`] when its parts do not fit together.
pub fn check(dataset: &Dataset, push: &Push) -> Result<(), PushedError> {
    dataset.validate()?;
    let name = push.name.as_str();
    let is_mnist = dataset.digest == mnist::content_digest();
    if name == synthetic::NAME || (name == mnist::NAME && !is_mnist) {
        return Err(PushedError::Reserved {
            name: name.to_owned(),
        });
    }
    let unsuitable = |reason: String| Err(PushedError::Unsuitable { reason });
    let (height, width) = (dataset.height(), dataset.width());
    if height * width > limits::INPUT {
        return unsuitable(format!(
            "its images have {height}×{width} pixels, and a network takes {} at most: make them smaller",
            limits::INPUT
        ));
    }
    for (part, images) in [
        ("training", &dataset.train.images),
        ("test", &dataset.test.images),
    ] {
        let size = (idx::image_header(images).len() + images.pixels.len()) as u64;
        if size > idx::MAX_CONTENT_BYTES {
            return unsuitable(format!(
                "its {} {part} images have {size} bytes, and a file of images has {} at most: make them fewer or smaller",
                images.count,
                idx::MAX_CONTENT_BYTES
            ));
        }
    }
    for (field, text) in [("description", &push.description), ("by", &push.by)] {
        if text.chars().count() > MAX_TEXT_CHARS || text.chars().any(char::is_control) {
            return unsuitable(format!(
                "its {field} must be at most {MAX_TEXT_CHARS} printable characters"
            ));
        }
    }
    Ok(())
}

/// Pushes a data set: the four files, then the manifest, then the record of the name.
///
/// Content that is there with another picture normalization keeps its files and manifest; the record
/// of the name has the new one. Jobs keep what their reference was resolved to.
///
/// Idempotent: a repeated call, after a crash or failure or a complete push, adds what is missing
/// and changes nothing else. If the name has got other content in between, it gets this content
/// again.
///
/// # Errors
/// As [`check`] (nothing is written then); [`PushedError::Damaged`] when its digest has other bytes;
/// else the storage's error: retry.
pub async fn push(storage: &Storage, dataset: Dataset, push: Push) -> Result<Receipt, PushedError> {
    // Hashing takes a while.
    let prepared = tokio::task::spawn_blocking(move || {
        check(&dataset, &push)?;
        let manifest = Manifest::of(&dataset, push.picture_normalization);
        Ok::<_, PushedError>((dataset, push, manifest))
    });
    let (dataset, push, draft) = prepared.await.map_err(StorageError::from)??;
    let (manifest, content_was_there) = match manifest(storage, &draft.digest).await? {
        Some(there) => (there, true),
        None => {
            write(storage, &dataset, &draft).await?;
            commit(storage, draft).await?
        }
    };
    let record = NameRecord {
        format: super::FORMAT,
        name: push.name,
        sequence: 0,
        digest: manifest.digest.clone(),
        picture_normalization: Some(push.picture_normalization)
            .filter(|it| *it != manifest.picture_normalization),
        description: push.description,
        by: push.by,
        pushed_at: Timestamp::now(),
    };
    let (record, created) = names::append(storage, record).await?;
    Ok(Receipt {
        manifest: manifest.read_as(record.picture_normalization),
        record,
        content_was_there,
        name_was_there: created == Created::Theirs,
    })
}

async fn write(storage: &Storage, dataset: &Dataset, draft: &Manifest) -> Result<(), PushedError> {
    let parts = [&dataset.train, &dataset.test];
    for (index, name) in FILES.into_iter().enumerate() {
        let part = parts[index / 2];
        let file = match index % 2 {
            0 => vec![
                Bytes::copy_from_slice(&idx::image_header(&part.images)),
                part.images.pixels.clone(),
            ],
            _ => vec![idx::encode_labels(&part.labels).into()],
        };
        let key = key(&draft.digest, name);
        if storage.create_of(&key, &file).await? == Created::Theirs {
            return Err(PushedError::Damaged {
                digest: draft.digest.clone(),
                reason: format!("{name} is there with other content"),
            });
        }
    }
    Ok(())
}

async fn commit(storage: &Storage, draft: Manifest) -> Result<(Manifest, bool), PushedError> {
    let text = serde_json::to_vec_pretty(&draft).expect("a manifest is plain data");
    match storage
        .create(&key(&draft.digest, MANIFEST), text.into())
        .await?
    {
        Created::Ours => Ok((draft, false)),
        Created::Theirs => match manifest(storage, &draft.digest).await? {
            Some(there) => Ok((there, true)),
            None => Err(PushedError::Damaged {
                digest: draft.digest,
                reason: "its manifest was removed during the push".to_owned(),
            }),
        },
    }
}
