//! The IDX format of MNIST: two zero bytes, an element type, the number of dimensions, each
//! dimension as a big-endian u32, then the elements, row-major.
//!
//! Images are `u8` with three dimensions (count, height, width); labels are `u8`, `i16` or `i32`
//! (big-endian) with one, or as QMNIST has them: `i32` with two (count, 8), of which the first
//! column is the label. Compression is detected by gzip's magic number, not by the file name. The
//! header is checked against the length of the file before memory is allocated, at most
//! [`MAX_CONTENT_BYTES`]. Floating-point elements and other ranks are not supported.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::{DatasetError, Finding, Images, LabelledImages, MAX_CLASSES, PixelBuffer, PixelStore};
use bytes::Bytes;

mod gzip;
mod write;
pub(crate) use write::image_header;
pub use write::{encode_images, encode_labels, write_images, write_labels};

/// Most bytes of content, header included, that a file may have uncompressed: 2 GiB.
pub const MAX_CONTENT_BYTES: u64 = 2 << 30;

/// Bytes that are read at once.
const PIECE: u64 = 1 << 20;
const UNSIGNED_BYTE: u8 = 0x08;
const SHORT: u8 = 0x0b;
const INT: u8 = 0x0c;
/// Deflate expands a byte to at most this many.
const DEFLATE_EXPANSION: u64 = 1_032;
/// Columns of QMNIST's labels.
const QMNIST_COLUMNS: usize = 8;
const REPLACE_FILE: &str = "download or create the file again";
const NOT_IDX: &str = "give an IDX file as MNIST has them, plain or gzipped";

/// Reads a file of images, plain or gzipped.
///
/// # Errors
///
/// [`DatasetError::Io`] and [`DatasetError::Format`], which name the path.
pub fn read_images(path: &Path) -> Result<Images, DatasetError> {
    images_of(path, PixelStore::Memory, &mut Vec::new())
}

/// Reads a file of labels, plain or gzipped.
///
/// # Errors
///
/// As [`read_images`]; [`DatasetError::Format`] also for a label outside 0 to [`MAX_CLASSES`] − 1.
pub fn read_labels(path: &Path) -> Result<Vec<u16>, DatasetError> {
    labels_of(path, 0, &mut Vec::new())
}

/// Reads a file of images and the file of their labels, which count from `first_label`.
///
/// # Errors
///
/// As [`read_images`] and [`read_labels`].
pub(crate) fn read_part(
    images: &Path,
    labels: &Path,
    first_label: u16,
    store: PixelStore,
    findings: &mut Vec<Finding>,
) -> Result<LabelledImages, DatasetError> {
    Ok(LabelledImages {
        images: images_of(images, store, findings)?,
        labels: labels_of(labels, first_label, findings)?,
    })
}

fn images_of(
    path: &Path,
    store: PixelStore,
    findings: &mut Vec<Finding>,
) -> Result<Images, DatasetError> {
    let (file, length) = open(path)?;
    let name = path.display().to_string();
    let decoded = decode(file, length, store, &name)?;
    note_garbage(&decoded, &name, findings);
    decode_images(decoded, &name)
}

fn labels_of(
    path: &Path,
    first: u16,
    findings: &mut Vec<Finding>,
) -> Result<Vec<u16>, DatasetError> {
    let (file, length) = open(path)?;
    let name = path.display().to_string();
    let decoded = decode(file, length, PixelStore::Memory, &name)?;
    note_garbage(&decoded, &name, findings);
    decode_labels(decoded, first, &name)
}

fn note_garbage(decoded: &Decoded, name: &str, findings: &mut Vec<Finding>) {
    if decoded.has_garbage {
        let file = name.to_owned();
        findings.push(Finding::BytesBehindGzip { file });
    }
}

/// As [`read_images`], of bytes (plain or gzipped); `name` stands for the path in messages.
///
/// # Errors
///
/// [`DatasetError::Format`].
pub fn parse_images(bytes: &[u8], name: &str) -> Result<Images, DatasetError> {
    decode_images(
        decode(bytes, bytes.len() as u64, PixelStore::Memory, name)?,
        name,
    )
}

/// As [`read_labels`], of bytes (plain or gzipped); `name` stands for the path in messages.
///
/// # Errors
///
/// [`DatasetError::Format`].
pub fn parse_labels(bytes: &[u8], name: &str) -> Result<Vec<u16>, DatasetError> {
    decode_labels(
        decode(bytes, bytes.len() as u64, PixelStore::Memory, name)?,
        0,
        name,
    )
}

fn open(path: &Path) -> Result<(BufReader<File>, u64), DatasetError> {
    let failed = |source| DatasetError::io("read", path, source);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        // A pipe or a device has no length to check the header with.
        return Err(failed(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        )));
    }
    Ok((BufReader::with_capacity(1 << 16, file), metadata.len()))
}

fn decode_images(decoded: Decoded, name: &str) -> Result<Images, DatasetError> {
    let Decoded {
        element,
        dimensions,
        data,
        ..
    } = decoded;
    let [count, height, width] = dimensions[..] else {
        return Err(DatasetError::format(
            name,
            format!("it has {} dimensions where images have 3", dimensions.len()),
            NOT_IDX,
        ));
    };
    if element != UNSIGNED_BYTE {
        return Err(DatasetError::format(
            name,
            format!(
                "its elements are of type {element:#04x} where images have 0x08, unsigned bytes"
            ),
            "convert the pixels to bytes from 0 to 255",
        ));
    }
    Ok(Images {
        count,
        height,
        width,
        pixels: data,
    })
}

fn decode_labels(decoded: Decoded, first: u16, name: &str) -> Result<Vec<u16>, DatasetError> {
    let Decoded {
        element,
        dimensions,
        data,
        ..
    } = decoded;
    let columns = match dimensions[..] {
        [_] => 1,
        [_, columns] => columns,
        _ => {
            return Err(DatasetError::format(
                name,
                format!("it has {} dimensions where labels have 1", dimensions.len()),
                NOT_IDX,
            ));
        }
    };
    let values: Box<dyn Iterator<Item = i32>> = match element {
        UNSIGNED_BYTE => Box::new(data.iter().map(|&byte| i32::from(byte))),
        SHORT => Box::new(
            data.as_chunks()
                .0
                .iter()
                .map(|&bytes| i32::from(i16::from_be_bytes(bytes))),
        ),
        _ => Box::new(
            data.as_chunks()
                .0
                .iter()
                .map(|&bytes| i32::from_be_bytes(bytes)),
        ),
    };
    let most = usize::from(first) + MAX_CLASSES - 1;
    values
        .step_by(columns)
        .enumerate()
        .map(|(index, value)| {
            value
                .checked_sub(i32::from(first))
                .and_then(|label| u16::try_from(label).ok())
                .filter(|&label| usize::from(label) < MAX_CLASSES)
                .ok_or_else(|| {
                    DatasetError::format(
                        name,
                        format!("label {index} is {value}, outside {first} to {most}"),
                        match first {
                            0 => "number the labels from 0",
                            _ => "name the smallest label as the first one",
                        },
                    )
                })
        })
        .collect()
}

/// An IDX file whose data has the length that its header declares.
struct Decoded {
    element: u8,
    dimensions: Vec<usize>,
    data: Bytes,
    /// Whether it was followed by other bytes, behind the end of its gzip stream.
    has_garbage: bool,
}

fn decode(
    mut input: impl BufRead,
    length: u64,
    store: PixelStore,
    name: &str,
) -> Result<Decoded, DatasetError> {
    let start = input
        .fill_buf()
        .map_err(|source| DatasetError::io("read", name, source))?;
    if !gzip::starts(start) {
        return decode_content(&mut input, Length::Exactly(length), store, name);
    }
    let most = length.saturating_mul(DEFLATE_EXPANSION);
    let mut members = gzip::Members::new(input);
    let decoded = decode_content(&mut members, Length::AtMost(most), store, name)?;
    Ok(Decoded {
        has_garbage: members.has_garbage,
        ..decoded
    })
}

/// Bound on the content's length before it is read.
#[derive(Clone, Copy)]
enum Length {
    Exactly(u64),
    AtMost(u64),
}

fn decode_content(
    input: &mut impl Read,
    length: Length,
    store: PixelStore,
    name: &str,
) -> Result<Decoded, DatasetError> {
    let (element, dimensions) = read_header(input, name)?;
    let header_bytes = 4 + 4 * dimensions.len() as u64;
    let data_bytes = data_bytes(element, &dimensions, name)?;
    let declared = header_bytes + data_bytes;
    check_length(declared, length, name)?;

    // Bounded by the file's length: `declared` has passed check_length.
    let data = read_data(input, data_bytes, store, name)?;
    if (data.len() as u64) < data_bytes {
        return Err(truncated(name, declared, header_bytes + data.len() as u64));
    }
    // Reading past the end also makes the gzip decoder check its checksum.
    let mut beyond = [0];
    match input
        .read(&mut beyond)
        .map_err(|source| unreadable(name, &source))?
    {
        0 => Ok(Decoded {
            element,
            dimensions,
            data,
            has_garbage: false,
        }),
        _ => Err(trailing(name, declared, None)),
    }
}

/// Reads `length` bytes, or up to the end.
fn read_data(
    input: &mut impl Read,
    length: u64,
    store: PixelStore,
    name: &str,
) -> Result<Bytes, DatasetError> {
    let mut data = PixelBuffer::with_room(store, length as usize);
    let mut piece = Vec::new();
    loop {
        piece.clear();
        input
            .by_ref()
            .take(PIECE.min(length - data.len()))
            .read_to_end(&mut piece)
            .map_err(|source| unreadable(name, &source))?;
        if piece.is_empty() {
            return data.finish();
        }
        data.push(&piece)?;
    }
}

/// Element type and dimensions: one, three, or two of QMNIST's labels.
fn read_header(input: &mut impl Read, name: &str) -> Result<(u8, Vec<usize>), DatasetError> {
    let mut magic = [0; 4];
    fill(input, &mut magic, name)?;
    let [0, 0, element, rank] = magic else {
        return Err(DatasetError::format(
            name,
            format!(
                "it starts with {:02x?} where IDX starts with two zero bytes",
                magic
            ),
            NOT_IDX,
        ));
    };
    if !matches!(element, UNSIGNED_BYTE | SHORT | INT) {
        return Err(DatasetError::format(
            name,
            format!(
                "elements of type {element:#04x} are not read, only 0x08 (u8), 0x0b (i16) and 0x0c (i32)"
            ),
            NOT_IDX,
        ));
    }
    let wrong_rank = || {
        let reason = format!("it has {rank} dimensions where labels have 1 and images 3");
        Err(DatasetError::format(name, reason, NOT_IDX))
    };
    if !(1..=3).contains(&rank) {
        return wrong_rank();
    }
    let mut dimensions = Vec::with_capacity(usize::from(rank));
    for _ in 0..rank {
        let mut size = [0; 4];
        fill(input, &mut size, name)?;
        dimensions.push(u32::from_be_bytes(size) as usize);
    }
    if rank == 2 && (element, dimensions[1]) != (INT, QMNIST_COLUMNS) {
        return wrong_rank();
    }
    Ok((element, dimensions))
}

fn data_bytes(element: u8, dimensions: &[usize], name: &str) -> Result<u64, DatasetError> {
    let element_bytes = match element {
        UNSIGNED_BYTE => 1,
        SHORT => 2,
        _ => 4,
    };
    dimensions
        .iter()
        .try_fold(element_bytes, |bytes: u64, &size| bytes.checked_mul(size as u64))
        .filter(|&bytes| bytes <= MAX_CONTENT_BYTES)
        .ok_or_else(|| {
            DatasetError::format(
                name,
                format!("its header declares {dimensions:?} elements, above the limit of {MAX_CONTENT_BYTES} bytes"),
                "split the file, or create it again if it is damaged",
            )
        })
}

fn check_length(declared: u64, length: Length, name: &str) -> Result<(), DatasetError> {
    match length {
        Length::Exactly(bytes) if bytes < declared => Err(truncated(name, declared, bytes)),
        Length::Exactly(bytes) if bytes > declared => Err(trailing(name, declared, Some(bytes))),
        Length::AtMost(bytes) if bytes < declared => Err(DatasetError::format(
            name,
            format!(
                "truncated: its header declares {declared} bytes, more than its compressed bytes can hold"
            ),
            REPLACE_FILE,
        )),
        Length::Exactly(_) | Length::AtMost(_) => Ok(()),
    }
}

fn fill(input: &mut impl Read, buffer: &mut [u8], name: &str) -> Result<(), DatasetError> {
    input.read_exact(buffer).map_err(|source| {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            DatasetError::format(name, "truncated: it ends within the header", REPLACE_FILE)
        } else {
            unreadable(name, &source)
        }
    })
}

fn truncated(name: &str, declared: u64, found: u64) -> DatasetError {
    DatasetError::format(
        name,
        format!("truncated: its header declares {declared} bytes, there are {found}"),
        REPLACE_FILE,
    )
}

fn trailing(name: &str, declared: u64, found: Option<u64>) -> DatasetError {
    let found = found.map_or_else(|| "more".to_owned(), |bytes| bytes.to_string());
    DatasetError::format(
        name,
        format!("trailing bytes: its header declares {declared} bytes, there are {found}"),
        REPLACE_FILE,
    )
}

fn unreadable(name: &str, source: &io::Error) -> DatasetError {
    DatasetError::format(name, format!("cannot be read: {source}"), REPLACE_FILE)
}

#[cfg(test)]
mod tests;
