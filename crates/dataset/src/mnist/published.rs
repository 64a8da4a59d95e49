//! The four files of MNIST as published, and their digests.

use crate::files::{TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS};
use crate::{digest, numbered_names};

/// A published file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    /// File name without `.gz`.
    pub(super) name: &'static str,
    /// SHA-256 of the uncompressed file.
    pub(super) sha256: &'static str,
    /// Length of the uncompressed file.
    pub(super) bytes: u64,
}

/// The four files.
pub(super) const FILES: [Published; 4] = [
    Published {
        name: TRAIN_IMAGES,
        sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        bytes: 47_040_016,
    },
    Published {
        name: TRAIN_LABELS,
        sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        bytes: 60_008,
    },
    Published {
        name: TEST_IMAGES,
        sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        bytes: 7_840_016,
    },
    Published {
        name: TEST_LABELS,
        sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        bytes: 10_008,
    },
];

/// The digest of MNIST's content, as [`Dataset::content_digest`](crate::Dataset::content_digest)
/// computes it, without loading it.
#[must_use]
pub fn content_digest() -> String {
    digest::of_files(&FILES.map(|file| file.sha256), &numbered_names(10))
}
