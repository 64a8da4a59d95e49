//! Downloads a file of MNIST from the first mirror that has it.
//!
//! The bytes go to `<file>.gz.part`, which is renamed to `<file>.gz` when the SHA-256 of its
//! uncompressed content is right. A lock on `.lock` in the cache lets one process download at a
//! time; the operating system releases it when the process ends.

use flate2::bufread::MultiGzDecoder;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{StatusCode, header};

use super::{
    published::Published,
    source::{MnistSource, Progress},
};
use crate::{DatasetError, digest, files};

/// Attempts at a mirror whose failures may pass.
const ATTEMPTS: u32 = 3;
/// Pause after the first failed attempt; grows with each.
const BACKOFF: Duration = Duration::from_millis(200);
/// gzip makes incompressible content only a little longer.
const GZIP_OVERHEAD: u64 = 64 << 10;
const CHUNK_BYTES: usize = 64 << 10;

/// Downloads the file into the cache and returns its path; its content is verified.
pub(super) fn fetch(
    file: Published,
    source: &MnistSource,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, DatasetError> {
    let cache = &source.cache;
    fs::create_dir_all(cache).map_err(|error| DatasetError::io("create", cache, error))?;
    let _lock = lock(cache)?;
    if let Some(path) = cached(file, cache)? {
        return Ok(path);
    }
    let agent = agent();
    let mut failures = Vec::new();
    for mirror in &source.mirrors {
        let download = Download::new(file, cache, mirror);
        match download.with_retries(&agent, progress) {
            Ok(path) => return Ok(path),
            Err(Failure::Local(error)) => return Err(error),
            Err(Failure::Transient(reason) | Failure::Permanent(reason)) => {
                let mirror = &download.shown_mirror;
                tracing::warn!(
                    mirror,
                    file = file.name,
                    reason,
                    "download from this mirror failed"
                );
                failures.push(format!("{mirror}: {reason}"));
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
            tracing::info!(cache = %cache.display(), "waiting for another process that downloads MNIST");
            file.lock().map_err(failed)?;
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    Ok(file)
}

/// The file, if another process has downloaded it meanwhile. Removes damaged ones.
fn cached(file: Published, cache: &Path) -> Result<Option<PathBuf>, DatasetError> {
    for path in files::candidates(cache, file.name) {
        if !path
            .try_exists()
            .map_err(|error| DatasetError::io("read", &path, error))?
        {
            continue;
        }
        if is_intact(&path, file) {
            return Ok(Some(path));
        }
        tracing::warn!(path = %path.display(), "the cached file is damaged; removing it");
        fs::remove_file(&path).map_err(|error| DatasetError::io("remove", &path, error))?;
    }
    Ok(None)
}

/// Whether the content of the file, plain or gzipped, has the right digest. Unpacks no more than
/// its right size.
fn is_intact(path: &Path, file: Published) -> bool {
    let digest = || -> io::Result<String> {
        let mut input = BufReader::new(File::open(path)?);
        let mut content = Vec::new();
        if input.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
            let input = MultiGzDecoder::new(input);
            input.take(file.bytes + 1).read_to_end(&mut content)?;
        } else {
            input.take(file.bytes + 1).read_to_end(&mut content)?;
        }
        Ok(digest::of_parts(&[&content]))
    };
    digest().is_ok_and(|actual| actual == file.sha256)
}

/// A client with time limits on everything.
fn agent() -> Agent {
    Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_resolve(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(20)))
        .timeout_per_read(Some(Duration::from_secs(20)))
        .timeout_global(Some(Duration::from_secs(20 * 60)))
        .max_redirects(5)
        .http_status_as_error(false)
        .user_agent(concat!("digits/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// Errors of a download from a mirror.
enum Failure {
    /// An error of this machine, which no mirror would avoid.
    Local(DatasetError),
    /// The next attempt may succeed.
    Transient(String),
    /// No further attempt will succeed.
    Permanent(String),
}

/// The download of a file from one mirror.
struct Download<'a> {
    file: Published,
    cache: &'a Path,
    url: String,
    /// The mirror's address without user and password, for messages.
    shown_mirror: String,
}

impl<'a> Download<'a> {
    fn new(file: Published, cache: &'a Path, mirror: &str) -> Self {
        let mirror = mirror.trim_end_matches('/');
        Self {
            file,
            cache,
            url: format!("{mirror}/{}.gz", file.name),
            shown_mirror: without_credentials(mirror),
        }
    }

    fn with_retries(
        &self,
        agent: &Agent,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, Failure> {
        let mut attempt = 1;
        loop {
            match self.attempt(agent, progress) {
                Err(Failure::Transient(_)) if attempt < ATTEMPTS => {
                    thread::sleep(BACKOFF * attempt);
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// One request. Leaves no partial file behind.
    fn attempt(
        &self,
        agent: &Agent,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, Failure> {
        let part = self.cache.join(format!("{}.gz.part", self.file.name));
        let received = self.receive(agent, &part, progress).and_then(|()| {
            if !is_intact(&part, self.file) {
                return Err(Failure::Permanent("its content is not MNIST's".to_owned()));
            }
            let path = self.cache.join(format!("{}.gz", self.file.name));
            fs::rename(&part, &path)
                .map_err(|error| Failure::Local(DatasetError::io("rename", &part, error)))?;
            Ok(path)
        });
        if received.is_err() {
            let _ = fs::remove_file(&part);
        }
        received
    }

    fn receive(
        &self,
        agent: &Agent,
        part: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), Failure> {
        // The stored bytes are gzipped already; without this header ureq would unpack them.
        let request = agent
            .get(&self.url)
            .header(header::ACCEPT_ENCODING, "identity");
        let response = request
            .call()
            .map_err(|error| Failure::Transient(error.to_string()))?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failure::Transient(format!("it answered {status}")));
            }
            status => return Err(Failure::Permanent(format!("it answered {status}"))),
        }
        let limit = self.file.bytes + GZIP_OVERHEAD;
        let total = response.body().content_length();
        if let Some(total) = total.filter(|&total| total > limit) {
            return Err(Failure::Permanent(format!(
                "its file has {total} bytes, more than {limit}"
            )));
        }
        let written = |error| Failure::Local(DatasetError::io("write", part, error));
        let mut output = File::create(part).map_err(written)?;
        let mut body = response.into_body().into_reader();
        let (mut chunk, mut received) = (vec![0; CHUNK_BYTES], 0);
        let name = format!("{}.gz", self.file.name);
        loop {
            progress(Progress {
                file: &name,
                mirror: &self.shown_mirror,
                received_bytes: received,
                total_bytes: total,
            });
            let length = match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) => return Err(Failure::Transient(error.to_string())),
            };
            output.write_all(&chunk[..length]).map_err(written)?;
            received += length as u64;
            if received > limit {
                return Err(Failure::Permanent(format!(
                    "it sent more than {limit} bytes"
                )));
            }
        }
        if let Some(total) = total.filter(|&total| received < total) {
            return Err(Failure::Transient(format!(
                "it sent {received} of {total} bytes"
            )));
        }
        output.sync_all().map_err(written)
    }
}

/// `scheme://user:password@host/…` without `user:password@`.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
