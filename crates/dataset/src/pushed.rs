//! Data sets that users push to the shared storage, where every trainer finds them by name.
//!
//! ```text
//! datasets/<digest>/train-images-idx3-ubyte     and the other three: uncompressed IDX files
//! datasets/<digest>/manifest.json               written last: its existence is the commit
//! datasets/names/<name>/<sequence>.json         the content of a name: the newest record counts
//! ```
//!
//! `<digest>` is that of the content ([`Dataset::content_digest`](crate::Dataset::content_digest)),
//! so equal data is stored once under any number of names, and can be verified. Keys are only
//! created, never overwritten or deleted. Unlike the rest of the crate this module is asynchronous,
//! because the storage is.

mod cache;
mod error;
mod list;
mod manifest;
mod name;
mod names;
mod push;

pub use cache::Cache;
pub use error::PushedError;
pub use list::{ListPosition, Listed, list, list_after, list_of, names};
pub use manifest::{FORMAT, Files, Manifest, Part, manifest};
pub use name::{DatasetName, Pinned, Reference};
pub use names::{NameRecord, resolve};
pub use push::{Push, Receipt, check, push};

use crate::files;

/// Folder of all pushed data sets.
const FOLDER: &str = "datasets";
/// Folder of the names.
const NAMES: &str = "datasets/names";
/// The commit of a pushed data set.
const MANIFEST: &str = "manifest.json";
/// The files of a data set, in the order of its digest.
const FILES: [&str; 4] = [
    files::TRAIN_IMAGES,
    files::TRAIN_LABELS,
    files::TEST_IMAGES,
    files::TEST_LABELS,
];

fn key(digest: &str, file: &str) -> String {
    format!("{FOLDER}/{digest}/{file}")
}

/// Whether the text is a SHA-256 in lower-case hexadecimal.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && is_hexadecimal(text)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests;
