//! The audit log: one JSON line for each call that may change something, with who called, from
//! where, what, and the result.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tonic::Code;

use super::metrics::code_name;
use crate::credentials::Identity;

/// The file of the audit log.
#[derive(Clone, Debug)]
pub struct AuditLog(Arc<PathBuf>);

/// What a handler adds to the line of its call, by field. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditFields(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl AuditFields {
    /// Sets a field, such as `job_id`.
    pub(crate) fn set(&self, field: &'static str, value: impl Into<String>) {
        let mut fields = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fields.insert(field, value.into());
    }
}

/// A call that gets a line when it ends.
pub(crate) struct AuditEntry {
    pub(crate) log: AuditLog,
    pub(crate) method: &'static str,
    pub(crate) client: Option<Identity>,
    pub(crate) peer: Option<std::net::IpAddr>,
    pub(crate) request_id: Option<String>,
    pub(crate) fields: AuditFields,
}

#[derive(Serialize)]
struct Line<'a> {
    at: Timestamp,
    /// Name of the client; absent where clients need not prove who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<std::net::IpAddr>,
    method: &'static str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(flatten)]
    fields: &'a BTreeMap<&'static str, String>,
}

impl AuditLog {
    /// Opens the file for appending, and creates it if there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        append(path, b"")?;
        Ok(Self(Arc::new(path.to_owned())))
    }
}

impl AuditEntry {
    /// Appends the line. A line that cannot be written goes to the log instead, so that none is
    /// lost silently.
    pub(crate) fn write(&self, code: Code) {
        let fields = self.fields.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = Line {
            at: Timestamp::now(),
            who: self.client.as_ref().map(|client| &*client.name),
            from: self.peer,
            method: self.method,
            result: code_name(code),
            request_id: self.request_id.as_deref(),
            fields: &fields,
        };
        let mut line = serde_json::to_vec(&line).unwrap_or_default();
        line.push(b'\n');
        if let Err(error) = append(&self.log.0, &line) {
            tracing::error!(
                file = %self.log.0.display(),
                %error,
                line = %String::from_utf8_lossy(line.trim_ascii()),
                "the audit log cannot be written; make its file writable. The line follows here"
            );
        }
    }
}

/// Appends in one write, as another process may do at the same time. The file is opened for each
/// line, so that it may be rotated.
fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(line)
}
