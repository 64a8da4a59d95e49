//! Downloads one file from the first mirror that has it.
//!
//! What has arrived stays in `<file>.gz.part`, with the address and the version (ETag) it is of in
//! `<file>.gz.part.from`, so that a later attempt, of this process or another, goes on where this one was cut off. Only
//! content with the right digest gets the file's name, by renaming. A lock on `.lock` in the cache lets one process
//! download at a time; the operating system gives it back when the process ends, however it ends.

mod attempt;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{MnistSource, Progress, Published};
use crate::{DatasetError, digest, files};
use attempt::{Ended, Target};

/// Attempts in a row that bring no byte, after which a mirror is left.
const FRUITLESS_ATTEMPTS: u32 = 3;
/// Attempts after which a mirror is left in any case.
const MAX_ATTEMPTS: u32 = 40;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Brings the file into the cache and says where it is, its content verified.
pub(super) fn fetch(
    file: Published,
    source: &MnistSource,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, DatasetError> {
    let cache = &source.cache;
    fs::create_dir_all(cache).map_err(|error| DatasetError::io("create", cache, error))?;
    let _lock = lock(cache)?;
    if let Some(path) = already_there(file, cache)? {
        return Ok(path);
    }
    let agent = attempt::agent();
    let mut failures = Vec::new();
    for mirror in &source.mirrors {
        let target = Target::new(file, cache, mirror);
        match from_mirror(&agent, &target, progress)? {
            Ok(path) => return Ok(path),
            Err(reason) => {
                tracing::warn!(
                    mirror = target.shown_mirror,
                    file = file.name,
                    reason,
                    "mirror left"
                );
                failures.push(format!("{}: {reason}", target.shown_mirror));
            }
        }
    }
    Err(DatasetError::Download {
        file: format!("{}.gz", file.name),
        failures,
    })
}

/// Waits until no other process downloads into the cache.
fn lock(cache: &Path) -> Result<File, DatasetError> {
    let path = cache.join(".lock");
    let failed = |error: io::Error| DatasetError::io("lock", &path, error);
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            tracing::info!(cache = %cache.display(), "another process downloads MNIST; waiting for it");
            file.lock().map_err(failed)?;
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    Ok(file)
}

/// What another process may have brought meanwhile. What is there and damaged is removed.
fn already_there(file: Published, cache: &Path) -> Result<Option<PathBuf>, DatasetError> {
    for path in files::candidates(cache, file.name) {
        if !path
            .try_exists()
            .map_err(|error| DatasetError::io("read", &path, error))?
        {
            continue;
        }
        match content_digest(&path, file.bytes) {
            Ok(actual) if actual == file.sha256 => return Ok(Some(path)),
            Ok(_) | Err(_) => {
                tracing::warn!(path = %path.display(), "the cached file is damaged; removing it");
                fs::remove_file(&path).map_err(|error| DatasetError::io("remove", &path, error))?;
            }
        }
    }
    Ok(None)
}

/// The file, or why this mirror does not give it. The outer error is one of this machine: no mirror would help.
fn from_mirror(
    agent: &ureq::Agent,
    target: &Target<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Result<PathBuf, String>, DatasetError> {
    target.forget_part_of_another_address()?;
    let (mut fruitless, mut resumed) = (0, false);
    for _ in 0..MAX_ATTEMPTS {
        let before = target.part_bytes()?;
        resumed |= before > 0;
        let reason = match target.attempt(agent, progress)? {
            Ended::Complete => {
                if let Some(path) = target.keep_if_verified()? {
                    return Ok(Ok(path));
                }
                if !resumed {
                    return Ok(Err("its content is not MNIST's".to_owned()));
                }
                // The two ends may be of different versions: once more, from the beginning.
                resumed = false;
                continue;
            }
            Ended::Refused(reason) => return Ok(Err(reason)),
            Ended::CutOff(reason) => reason,
        };
        if target.part_bytes()? > before {
            fruitless = 0;
            continue;
        }
        fruitless += 1;
        if fruitless == FRUITLESS_ATTEMPTS {
            return Ok(Err(reason));
        }
        thread::sleep(FIRST_PAUSE * fruitless);
    }
    Ok(Err(format!("cut off {MAX_ATTEMPTS} times")))
}

/// SHA-256 of the content, gunzipped when it is gzipped; no more than `most_bytes` of it are unpacked, and longer content
/// has no right digest.
fn content_digest(path: &Path, most_bytes: u64) -> io::Result<String> {
    let mut input = BufReader::new(File::open(path)?);
    let mut hasher = Sha256::new();
    if input.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        io::copy(
            &mut MultiGzDecoder::new(input).take(most_bytes + 1),
            &mut Hashing(&mut hasher),
        )?;
    } else {
        io::copy(&mut input.take(most_bytes + 1), &mut Hashing(&mut hasher))?;
    }
    Ok(digest::hexadecimal(&hasher.finalize()))
}

struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
