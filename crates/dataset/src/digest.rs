//! Digests of content. The definition stands at [`Dataset::content_digest`]; a change of it changes the identity
//! of every data set, so the first line of its text has a version.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

use crate::idx;
use crate::{Dataset, LabelledImages};

pub(crate) fn of_dataset(dataset: &Dataset) -> String {
    let mut text = String::from("digits dataset 1\n");
    for (role, part) in [("train", &dataset.train), ("test", &dataset.test)] {
        let LabelledImages { images, labels } = part;
        let header = idx::image_header(images);
        line(
            &mut text,
            &of_parts(&[&header, &images.pixels]),
            &format!("{role}-images"),
        );
        line(
            &mut text,
            &of_parts(&[&idx::encode_labels(labels)]),
            &format!("{role}-labels"),
        );
    }
    let names: String = dataset
        .label_names
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
