//! Files that may be compressed with gzip.

use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

/// First bytes of a gzip file.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Whether a file is compressed.
pub(super) fn is_packed(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut start)?;
    Ok(start == MAGIC)
}

/// The content of the file at `path`, from its bytes.
pub(super) fn open(path: &Path, file: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    Ok(match is_packed(path)? {
        true => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        false => Box::new(file),
    })
}

/// Up to `limit` bytes that can be unpacked of the start of a gzip file.
pub(super) fn start(bytes: &[u8], limit: u64) -> Vec<u8> {
    let mut unpacked = Vec::new();
    // The end is missing, which is an error after the bytes that are there.
    let _ = MultiGzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut unpacked);
    unpacked
}
