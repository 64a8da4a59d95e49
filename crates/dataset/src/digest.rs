//! Digests of content. The definition stands at [`Dataset::content_digest`]; a change of it changes the identity
//! of every data set, so the first line of its text has a version.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

use crate::idx;
use crate::{Dataset, LabelledImages};

pub(crate) fn of_dataset(dataset: &Dataset) -> String {
    of_files(&of_each_file(dataset), &dataset.label_names)
}

/// The digests of the four files, in the order of the text.
pub(crate) fn of_each_file(dataset: &Dataset) -> [String; 4] {
    let images = |part: &LabelledImages| {
        let images = &part.images;
        of_parts(&[&idx::image_header(images), &images.pixels])
    };
    let labels = |part: &LabelledImages| of_parts(&[&idx::encode_labels(&part.labels)]);
    [
        images(&dataset.train),
        labels(&dataset.train),
        images(&dataset.test),
        labels(&dataset.test),
    ]
}

/// The digest of a data set of which these are the digests of the files.
pub(crate) fn of_files<T: AsRef<str>>(files: &[T; 4], label_names: &[String]) -> String {
    let mut text = String::from("digits dataset 1\n");
    let roles = ["train-images", "train-labels", "test-images", "test-labels"];
    for (digest, role) in files.iter().zip(roles) {
        line(&mut text, digest.as_ref(), role);
    }
    let names: String = label_names
        .iter()
        .flat_map(|name| [name.as_str(), "\n"])
        .collect();
    line(&mut text, &of_parts(&[names.as_bytes()]), "label-names");
    of_parts(&[text.as_bytes()])
}

/// SHA-256 of the parts in a row, in lower-case hexadecimal.
pub(crate) fn of_parts(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hexadecimal(&hasher.finalize())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn line(text: &mut String, digest: &str, role: &str) {
    let _ = writeln!(text, "{digest} {role}");
}
