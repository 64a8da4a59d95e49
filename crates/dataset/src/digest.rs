//! The SHA-256 that identifies a data set's content, as
//! [`Dataset::content_digest`](crate::Dataset::content_digest) defines it. The first line of the
//! hashed text has a version, because a change would give every data set another identity.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

use crate::LabelledImages;
use crate::idx;

/// The digests of the four files, in the order of the text.
pub(crate) fn of_each_file(train: &LabelledImages, test: &LabelledImages) -> [String; 4] {
    let images = |part: &LabelledImages| {
        let images = &part.images;
        of_parts(&[&idx::image_header(images), &images.pixels])
    };
    let labels = |part: &LabelledImages| of_parts(&[&idx::encode_labels(&part.labels)]);
    [images(train), labels(train), images(test), labels(test)]
}

/// The digest of a data set with these digests of files, in the order of the text.
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

/// SHA-256 of the concatenated parts, in lower-case hexadecimal.
pub(crate) fn of_parts(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hex::encode(hasher.finalize())
}

fn line(text: &mut String, digest: &str, role: &str) {
    let _ = writeln!(text, "{digest} {role}");
}
