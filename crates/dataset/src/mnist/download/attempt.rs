//! One request to one mirror: asks for what is still missing and appends what comes.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::{Progress, Published, content_digest};
use crate::DatasetError;

/// gzip makes content that cannot be compressed only a little longer.
const GZIP_ROOM: u64 = 64 << 10;
const CHUNK_BYTES: usize = 64 << 10;

/// A client with time limits on everything.
pub(super) fn agent() -> Agent {
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

/// How an attempt ended; not with an error of this machine.
pub(super) enum Ended {
    /// The mirror sent everything, it says.
    Complete,
    /// It may go better next time.
    CutOff(String),
    /// It will not.
    Refused(String),
}

/// A file, the address to have it from, and where it is put.
pub(super) struct Target<'a> {
    file: Published,
    cache: &'a Path,
    url: String,
    /// The mirror's address without user and password, for messages.
    pub(super) shown_mirror: String,
}

impl<'a> Target<'a> {
    pub(super) fn new(file: Published, cache: &'a Path, mirror: &str) -> Self {
        let mirror = mirror.trim_end_matches('/');
        Self {
            file,
            cache,
            url: format!("{mirror}/{}.gz", file.name),
            shown_mirror: without_credentials(mirror),
        }
    }

    fn part(&self) -> PathBuf {
        self.cache.join(format!("{}.gz.part", self.file.name))
    }

    /// Two lines: the address, and the ETag or nothing.
    fn origin(&self) -> PathBuf {
        self.cache.join(format!("{}.gz.part.from", self.file.name))
    }

    pub(super) fn part_bytes(&self) -> Result<u64, DatasetError> {
        match fs::metadata(self.part()) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(DatasetError::io("read", self.part(), error)),
        }
    }

    pub(super) fn forget_part_of_another_address(&self) -> Result<(), DatasetError> {
        match fs::read_to_string(self.origin()) {
            Ok(text) if text.lines().next() == Some(&self.shown_url()) => Ok(()),
            _ => self.forget_part(),
        }
    }

    fn forget_part(&self) -> Result<(), DatasetError> {
        for path in [self.part(), self.origin()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DatasetError::io("remove", path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives the part the file's name when its content is right; removes it otherwise.
    pub(super) fn keep_if_verified(&self) -> Result<Option<PathBuf>, DatasetError> {
        let part = self.part();
        if !content_digest(&part, self.file.bytes).is_ok_and(|actual| actual == self.file.sha256) {
            self.forget_part()?;
            return Ok(None);
        }
        let path = self.cache.join(format!("{}.gz", self.file.name));
        fs::rename(&part, &path).map_err(|error| DatasetError::io("rename", part, error))?;
        self.forget_part()?;
        Ok(Some(path))
    }

    /// Asks for what is missing. The error is one of this machine.
    pub(super) fn attempt(
        &self,
        agent: &Agent,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Ended, DatasetError> {
        let have = self.part_bytes()?;
        let response = match self.request(agent, have) {
            Ok(response) => response,
            Err(error) => return Ok(Ended::CutOff(error.to_string())),
        };
        match response.status() {
            StatusCode::OK => self.receive(response, 0, progress),
            StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(have) => {
                self.receive(response, have, progress)
            }
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT if have > 0 => {
                // The part is as long as the file, or of another file: let the digest tell.
                Ok(Ended::Complete)
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Ok(Ended::CutOff(format!("it answered {status}")))
            }
            status => Ok(Ended::Refused(format!("it answered {status}"))),
        }
    }

    fn request(&self, agent: &Agent, have: u64) -> Result<Response<Body>, ureq::Error> {
        // Stored bytes are counted, so the transport may not pack them once more.
        let mut request = agent
            .get(&self.url)
            .header(header::ACCEPT_ENCODING, "identity");
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
            // A weak ETag does not promise equal bytes, and may not be used here (RFC 9110, 13.1.5).
            if let Some(tag) = self.stored_tag().filter(|tag| tag.starts_with('"')) {
                request = request.header(header::IF_RANGE, tag);
            }
        }
        request.call()
    }

    fn stored_tag(&self) -> Option<String> {
        let text = fs::read_to_string(self.origin()).ok()?;
        text.lines().nth(1).map(str::to_owned)
    }

    /// Writes the body behind the first `have` bytes of the part.
    fn receive(
        &self,
        response: Response<Body>,
        have: u64,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Ended, DatasetError> {
        let most = self.file.bytes + GZIP_ROOM;
        let total = content_length(&response).map(|length| have.saturating_add(length));
        if let Some(total) = total.filter(|&total| total > most) {
            return Ok(Ended::Refused(format!(
                "its file has {total} bytes, above {most}"
            )));
        }
        let mut part = self.open_part(&response, have)?;
        let name = format!("{}.gz", self.file.name);
        let mut received = have;
        let mut report = |received| {
            progress(Progress {
                file: &name,
                mirror: &self.shown_mirror,
                received_bytes: received,
                total_bytes: total,
            });
        };
        report(received);
        let mut body = response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) => return Ok(Ended::CutOff(error.to_string())),
            };
            part.write_all(&chunk[..length])
                .map_err(|error| self.unwritable(error))?;
            received += length as u64;
            if received > most {
                return Ok(Ended::Refused(format!("it sent more than {most} bytes")));
            }
            report(received);
        }
        part.sync_all().map_err(|error| self.unwritable(error))?;
        match total {
            Some(total) if received < total => Ok(Ended::CutOff(format!(
                "it sent {received} of {total} bytes"
            ))),
            _ => Ok(Ended::Complete),
        }
    }

    /// The part, cut to `have` bytes and to be written from there; its origin is noted first.
    fn open_part(&self, response: &Response<Body>, have: u64) -> Result<File, DatasetError> {
        if have == 0 {
            // In this order: a part never stands beside the note of another origin.
            self.forget_part()?;
            let tag = text_of(response, header::ETAG).unwrap_or_default();
            let origin = self.origin();
            fs::write(&origin, format!("{}\n{tag}\n", self.shown_url()))
                .map_err(|error| DatasetError::io("write", origin, error))?;
        }
        let opened = || {
            let mut file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(self.part())?;
            file.set_len(have)?;
            file.seek(io::SeekFrom::End(0))?;
            Ok(file)
        };
        opened().map_err(|error| self.unwritable(error))
    }

    fn unwritable(&self, error: io::Error) -> DatasetError {
        DatasetError::io("write", self.part(), error)
    }

    fn shown_url(&self) -> String {
        without_credentials(&self.url)
    }
}

fn content_length(response: &Response<Body>) -> Option<u64> {
    text_of(response, header::CONTENT_LENGTH)?.parse().ok()
}

/// The first byte that `Content-Range: bytes <first>-<last>/<length>` names.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = text_of(response, header::CONTENT_RANGE)?;
    range
        .strip_prefix("bytes ")?
        .split_once('-')?
        .0
        .trim()
        .parse()
        .ok()
}

fn text_of(response: &Response<Body>, name: header::HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
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
