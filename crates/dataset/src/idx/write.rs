//! Writes IDX files.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::{SHORT, UNSIGNED_BYTE};
use crate::{DatasetError, Images};

/// The IDX file of the images, uncompressed.
///
/// # Panics
///
/// When a dimension does not fit into 32 bits, or the pixels are not `count * height * width`: a
/// bug of the caller.
#[must_use]
pub fn encode_images(images: &Images) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + images.pixels.len());
    bytes.extend(image_header(images));
    bytes.extend(&images.pixels);
    bytes
}

/// The IDX file of the labels, uncompressed: of `u8` when all are below 256, else of `i16`.
///
/// # Panics
///
/// When there are 2³² labels or one is above 32,767: a bug of the caller, for a data set has at
/// most [`MAX_CLASSES`](crate::MAX_CLASSES).
#[must_use]
pub fn encode_labels(labels: &[u16]) -> Vec<u8> {
    let narrow: Option<Vec<u8>> = labels
        .iter()
        .map(|&label| u8::try_from(label).ok())
        .collect();
    let element = if narrow.is_some() {
        UNSIGNED_BYTE
    } else {
        SHORT
    };
    let mut bytes = vec![0, 0, element, 1];
    bytes.extend(dimension(labels.len()));
    match narrow {
        Some(labels) => bytes.extend(labels),
        None => bytes.extend(labels.iter().flat_map(|&label| {
            i16::try_from(label)
                .expect("a label is below 1,000")
                .to_be_bytes()
        })),
    }
    bytes
}

/// Writes the images to a file, uncompressed, in place of one that is there.
///
/// # Errors
///
/// [`DatasetError::Io`].
///
/// # Panics
///
/// As [`encode_images`].
pub fn write_images(path: &Path, images: &Images) -> Result<(), DatasetError> {
    write(path, &[&image_header(images), &images.pixels])
}

/// Writes the labels to a file, uncompressed, in place of one that is there.
///
/// # Errors
///
/// [`DatasetError::Io`].
///
/// # Panics
///
/// As [`encode_labels`].
pub fn write_labels(path: &Path, labels: &[u16]) -> Result<(), DatasetError> {
    write(path, &[&encode_labels(labels)])
}

/// Magic number and dimensions of a file of images.
pub(crate) fn image_header(images: &Images) -> [u8; 16] {
    let Images {
        count,
        height,
        width,
        ref pixels,
    } = *images;
    assert_eq!(
        count * height * width,
        pixels.len(),
        "as many pixels as the images have"
    );
    let mut header = [0; 16];
    header[..4].copy_from_slice(&[0, 0, UNSIGNED_BYTE, 3]);
    for (place, size) in header[4..].chunks_exact_mut(4).zip([count, height, width]) {
        place.copy_from_slice(&dimension(size));
    }
    header
}

fn dimension(size: usize) -> [u8; 4] {
    u32::try_from(size)
        .expect("a dimension of an IDX file has 32 bits")
        .to_be_bytes()
}

fn write(path: &Path, parts: &[&[u8]]) -> Result<(), DatasetError> {
    let written = || -> io::Result<()> {
        let mut file = File::create(path)?;
        parts.iter().try_for_each(|part| file.write_all(part))
    };
    written().map_err(|source| DatasetError::io("write", path, source))
}
