//! Collects pixels one image after another, in little memory however many they are.

use crate::DatasetError;
use bytes::Bytes;
use std::{
    env,
    fs::File,
    io::{self, Write as _},
    path::PathBuf,
};

/// Pixels that stay in memory; more are written to a temporary file, if that is wanted.
const IN_MEMORY: usize = 64 << 20;

/// Where many pixels are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PixelStore {
    /// In memory: for services, which may have no folder to write into.
    #[default]
    Memory,
    /// Above 64 MiB in a temporary file, in the folder of `TMPDIR`, else in `/var/tmp`, as `/tmp` may
    /// be memory.
    TemporaryFile,
}

/// Pixels of any number of images.
#[derive(Debug, Default)]
pub struct PixelBuffer {
    store: PixelStore,
    /// Those that are not in the file.
    memory: Vec<u8>,
    file: Option<File>,
    written: u64,
}

impl PixelBuffer {
    /// A buffer without pixels.
    #[must_use]
    pub fn new(store: PixelStore) -> Self {
        Self {
            store,
            ..Self::default()
        }
    }

    /// One with memory for `pixels`, if they are to be there.
    pub(crate) fn with_room(store: PixelStore, pixels: usize) -> Self {
        let room = match store {
            PixelStore::Memory => pixels,
            PixelStore::TemporaryFile => pixels.min(IN_MEMORY),
        };
        Self {
            memory: Vec::with_capacity(room),
            ..Self::new(store)
        }
    }

    /// Pixels so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.written + self.memory.len() as u64
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds pixels.
    ///
    /// # Errors
    /// [`DatasetError::Io`] when the temporary file cannot be written, as on a full disk.
    pub fn push(&mut self, pixels: &[u8]) -> Result<(), DatasetError> {
        let are_many = self.memory.len() + pixels.len() > IN_MEMORY;
        if are_many && self.store == PixelStore::TemporaryFile {
            self.spill().map_err(failed)?;
        }
        self.memory.extend_from_slice(pixels);
        Ok(())
    }

    /// All pixels: in memory, or mapped from the temporary file, which exists until they are
    /// dropped.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self) -> Result<Bytes, DatasetError> {
        if self.file.is_none() {
            return Ok(self.memory.into());
        }
        self.spill().map_err(failed)?;
        let mapped = self.file.as_ref().map(map);
        mapped.unwrap_or_else(|| Ok(Bytes::new())).map_err(failed)
    }

    /// Moves the pixels in memory to the file.
    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            empty @ None => empty.insert(tempfile::tempfile_in(folder())?),
        };
        file.write_all(&self.memory)?;
        self.written += self.memory.len() as u64;
        self.memory.clear();
        Ok(())
    }
}

#[expect(unsafe_code, reason = "a mapped file must not become shorter")]
fn map(file: &File) -> io::Result<Bytes> {
    // SAFETY: the file has no name, so no other process can open it, and nothing here changes it
    // any more.
    let mapped = unsafe { memmap2::Mmap::map(file) }?;
    Ok(Bytes::from_owner(mapped))
}

fn failed(source: io::Error) -> DatasetError {
    DatasetError::io("write a temporary file in", folder(), source)
}

/// The folder of temporary files that are too large for memory.
fn folder() -> PathBuf {
    let large = PathBuf::from("/var/tmp");
    match env::var_os("TMPDIR") {
        None if large.is_dir() => large,
        _ => env::temp_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_come_back_in_order_from_memory_and_from_a_file() {
        let piece: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        let cases = [0, 3, 70].map(|count| (PixelStore::TemporaryFile, count));
        for (store, count) in cases.into_iter().chain([(PixelStore::Memory, 70)]) {
            let mut buffer = PixelBuffer::new(store);
            for index in 0..count {
                buffer.push(&piece[index..]).expect("room on the disk");
            }
            let in_file = store == PixelStore::TemporaryFile && count == 70;
            assert_eq!(buffer.file.is_some(), in_file);
            let length = buffer.len();
            let pixels = buffer.finish().expect("room on the disk");
            let expected = (0..count).flat_map(|index| &piece[index..]);
            assert_eq!(pixels.len() as u64, length);
            assert!(pixels.iter().eq(expected), "{count} pieces");
        }
    }
}
