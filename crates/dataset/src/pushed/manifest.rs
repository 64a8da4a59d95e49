//! The manifest of a pushed data set: `datasets/<digest>/manifest.json`.
//!
//! It is validated before any byte of the files is read; the files are checked against it when they
//! are read. A reader accepts unknown fields and refuses an unknown `format`.

use super::{FILES, MANIFEST, PushedError, is_digest, key};
use crate::{Dataset, LabelledImages, MAX_SIDE, dataset::fault_of_names, digest, idx};
use digits_checkpoint::{
    Storage, StorageError,
    manifest::{FileDigest, PictureNormalization, read_format},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The format that this program writes.
pub const FORMAT: u32 = 1;
/// Largest manifest that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// `datasets/<digest>/manifest.json`. Written last: its existence is the commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout, [`FORMAT`].
    pub format: u32,
    /// Digest of the content, as in its path: [`Dataset::content_digest`].
    pub digest: String,
    /// When it was committed.
    pub created_at: Timestamp,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// Names of the labels, by index.
    pub labels: Vec<String>,
    /// Normalization of a user's picture for networks trained on this data set, as of the first push
    /// of this content; [`NameRecord`](super::NameRecord) may have another.
    pub picture_normalization: PictureNormalization,
    /// For training and validation.
    pub train: Part,
    /// For the test.
    pub test: Part,
    /// Version of the program that pushed it.
    pub program_version: String,
}

/// One part of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Images.
    pub count: u64,
    /// Images of each label, by index; `count` together.
    pub class_counts: Vec<u64>,
    /// The two files.
    pub files: Files,
}

/// The two files of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// IDX, u8, [count, height, width].
    pub images: FileDigest,
    /// IDX, u8 or i16, \[count\].
    pub labels: FileDigest,
}

impl Manifest {
    /// The manifest of a data set, created now.
    #[must_use]
    pub fn of(dataset: &Dataset, picture_normalization: PictureNormalization) -> Self {
        let [train_images, train_labels, test_images, test_labels] =
            digest::of_each_file(&dataset.train, &dataset.test);
        let part = |data: &LabelledImages, images: String, labels: String| Part {
            count: data.images.count as u64,
            class_counts: data.class_counts(dataset.classes()),
            files: Files {
                images: FileDigest {
                    sha256: images,
                    size_bytes: idx::image_header(&data.images).len() as u64
                        + data.images.pixels.len() as u64,
                },
                labels: FileDigest {
                    sha256: labels,
                    size_bytes: idx::encode_labels(&data.labels).len() as u64,
                },
            },
        };
        Self {
            format: FORMAT,
            digest: dataset.digest.clone(),
            created_at: Timestamp::now(),
            height: dataset.height(),
            width: dataset.width(),
            labels: dataset.label_names.clone(),
            picture_normalization,
            train: part(&dataset.train, train_images, train_labels),
            test: part(&dataset.test, test_images, test_labels),
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// This manifest with another picture normalization, if one is given.
    #[must_use]
    pub fn read_as(self, picture_normalization: Option<PictureNormalization>) -> Self {
        Self {
            picture_normalization: picture_normalization.unwrap_or(self.picture_normalization),
            ..self
        }
    }

    /// Bytes of the four files.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.files().iter().map(|(_, file)| file.size_bytes).sum()
    }

    /// The four files with their names.
    pub(super) fn files(&self) -> [(&'static str, &FileDigest); 4] {
        let files = [
            &self.train.files.images,
            &self.train.files.labels,
            &self.test.files.images,
            &self.test.files.labels,
        ];
        std::array::from_fn(|index| (FILES[index], files[index]))
    }

    fn parse(bytes: &[u8], digest: &str) -> Result<Self, PushedError> {
        let damaged = |reason: String| PushedError::Damaged {
            digest: digest.to_owned(),
            reason,
        };
        let unreadable =
            |error: serde_json::Error| damaged(format!("its manifest cannot be read: {error}"));
        let format = read_format(bytes).map_err(unreadable)?;
        if format != u64::from(FORMAT) {
            return Err(PushedError::Format {
                digest: digest.to_owned(),
                reason: format!(
                    "format {format} is unknown to this program, which reads format {FORMAT}"
                ),
            });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        if manifest.digest != digest {
            return Err(damaged(format!(
                "its manifest belongs to {}",
                manifest.digest
            )));
        }
        match manifest.fault() {
            Some(fault) => Err(damaged(format!("its manifest is invalid: {fault}"))),
            None => Ok(manifest),
        }
    }

    /// The first invalid value. No number of a manifest may decide how much memory a reader
    /// allocates.
    fn fault(&self) -> Option<String> {
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&self.height) || !sides.contains(&self.width) {
            return Some(format!("images of {}×{}", self.height, self.width));
        }
        if let Some(fault) = fault_of_names(&self.labels) {
            return Some(fault);
        }
        for part in [&self.train, &self.test] {
            let pixels = (self.height * self.width) as u64;
            let counted = part
                .class_counts
                .iter()
                .try_fold(0_u64, |sum, &count| sum.checked_add(count));
            if part.class_counts.len() != self.labels.len() || counted != Some(part.count) {
                return Some(
                    "the counts of the labels do not add up to the number of images".to_owned(),
                );
            }
            let images = part
                .count
                .checked_mul(pixels)
                .and_then(|bytes| bytes.checked_add(16));
            if images != Some(part.files.images.size_bytes) || part.count == 0 {
                return Some(format!(
                    "{} images in {} bytes",
                    part.count, part.files.images.size_bytes
                ));
            }
        }
        let files = self.files();
        if let Some((name, file)) = files
            .iter()
            .find(|(_, file)| file.size_bytes > idx::MAX_CONTENT_BYTES || !is_digest(&file.sha256))
        {
            return Some(format!(
                "{name} of {} bytes and digest {:?}",
                file.size_bytes, file.sha256
            ));
        }
        let digests = files.map(|(_, file)| file.sha256.as_str());
        (digest::of_files(&digests, &self.labels) != self.digest)
            .then(|| "its files and labels have another digest".to_owned())
    }
}

/// The manifest of a pushed data set; `None` when there is none. Cancel-safe.
///
/// # Errors
/// [`PushedError::Damaged`] and [`PushedError::Format`] when it is unreadable; else the storage's
/// error.
pub async fn manifest(storage: &Storage, digest: &str) -> Result<Option<Manifest>, PushedError> {
    match storage.get(&key(digest, MANIFEST), LIMIT).await {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => Manifest::parse(&bytes, digest).map(Some),
        Err(StorageError::TooLarge { size, .. }) => Err(PushedError::Damaged {
            digest: digest.to_owned(),
            reason: format!("its manifest has {size} bytes"),
        }),
        Err(error) => Err(error.into()),
    }
}
