//! Tells the format of a file by its first bytes.

use super::{csv, gzip, numpy};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Bytes that are looked at: more than the header of a CSV file of small images has.
const LOOKED_AT: u64 = 1 << 20;

/// A format of images and labels as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Lines of numbers, perhaps compressed with gzip.
    Csv,
    /// An array of NumPy.
    Npy,
    /// An archive of arrays.
    Npz,
    /// A Parquet file.
    Parquet,
}

/// The format of a file, if it is a known one.
pub(super) fn of(path: &Path) -> io::Result<Option<Format>> {
    let start = start(File::open(path)?)?;
    Ok(if start.starts_with(numpy::MAGIC) {
        Some(Format::Npy)
    } else if start.starts_with(b"PK\x03\x04") {
        numpy::is_archive(path).then_some(Format::Npz)
    } else if start.starts_with(b"PAR1") {
        Some(Format::Parquet)
    } else if start.starts_with(&gzip::MAGIC) {
        let unpacked = gzip::start(&start, LOOKED_AT);
        csv::is_table(&unpacked).then_some(Format::Csv)
    } else {
        csv::is_table(&start).then_some(Format::Csv)
    })
}

fn start(input: impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    input.take(LOOKED_AT).read_to_end(&mut start)?;
    Ok(start)
}
