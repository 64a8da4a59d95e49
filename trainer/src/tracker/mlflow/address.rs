//! The address of an MLflow server, and what it takes to be let in.

use crate::{http_address, remote_write::read_file};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{fmt, path::PathBuf, str::FromStr};
use ureq::http::HeaderValue;
use url::Url;

/// Address of an MLflow server over http or https, such as `http://127.0.0.1:5000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackingUri(Url);

impl FromStr for TrackingUri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "http://127.0.0.1:5000";
        let secret = "--mlflow-credentials-file names a file with them";
        http_address::parse(text, example, secret).map(Self)
    }
}

impl TrackingUri {
    /// The address of a path of the server, such as `/api/2.0/mlflow/runs/create`.
    pub(super) fn join(&self, path: &str) -> String {
        let mut base = self.0.clone();
        base.set_query(None);
        base.set_fragment(None);
        format!("{}{path}", base.as_str().trim_end_matches('/'))
    }

    /// The path below which the server's proxy has an artifact, if the server is a proxy for it.
    pub(super) fn proxied(&self, artifact_uri: &str) -> Option<String> {
        let uri = Url::parse(artifact_uri).ok()?;
        let here = uri.host_str().is_none_or(|host| {
            let port = uri.port().or(self.0.port_or_known_default());
            Some(host) == self.0.host_str() && port == self.0.port_or_known_default()
        });
        let proxied = uri.scheme() == "mlflow-artifacts" && here;
        proxied.then(|| uri.path().trim_matches('/').to_owned())
    }

    /// Whether what is sent crosses a network in plain text.
    pub(in crate::tracker) fn in_the_open(&self) -> bool {
        http_address::in_the_open(&self.0)
    }
}

impl fmt::Display for TrackingUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The file with a token, or with user and password.
#[derive(Clone, Debug)]
pub(in crate::tracker) struct Credentials(pub(in crate::tracker) PathBuf);

impl Credentials {
    /// Reads the file; returns the value of the `Authorization` header.
    ///
    /// # Errors
    /// One line that names the flag, the file and the remedy.
    pub(in crate::tracker) fn read(&self) -> Result<HeaderValue, String> {
        let refuse =
            |reason: &str| format!("--mlflow-credentials-file {}: {reason}", self.0.display());
        let bytes = read_file(&self.0).map_err(|error| refuse(&error))?;
        header(bytes.trim_ascii()).ok_or_else(|| {
            refuse("must have one line and nothing else: a token, or a user and a password with a colon between them")
        })
    }
}

/// A token has the characters of RFC 6750, section 2.1, which has no colon.
fn header(line: &[u8]) -> Option<HeaderValue> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    let value = if line.is_empty() || line.iter().any(u8::is_ascii_control) {
        return None;
    } else if line.contains(&b':') {
        format!("Basic {}", STANDARD.encode(line))
    } else if line.iter().all(is_token) {
        format!("Bearer {}", String::from_utf8_lossy(line))
    } else {
        return None;
    };
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn address(text: &str) -> TrackingUri {
        text.parse().expect("an address")
    }

    #[test]
    fn paths_are_below_the_address() {
        let path = "/api/2.0/mlflow/runs/create";
        for base in ["http://127.0.0.1:5000", "https://example.com/team/mlflow/"] {
            let joined = address(base).join(path);
            assert_eq!(joined, format!("{}{path}", base.trim_end_matches('/')));
        }
        for (bad, part) in [
            ("sqlite:///mlflow.db", "http"),
            ("databricks", "address"),
            ("http://me:secret@127.0.0.1/", "--mlflow-credentials-file"),
        ] {
            let error = bad.parse::<TrackingUri>().expect_err(bad);
            assert!(error.contains(part) && !error.contains("me:"), "{error}");
        }
    }

    #[test]
    fn artifacts_go_to_the_servers_own_proxy_alone() {
        let server = address("http://mlflow:5000/");
        for (uri, path) in [
            ("mlflow-artifacts:/1/ab/artifacts", Some("1/ab/artifacts")),
            ("mlflow-artifacts://mlflow:5000/1/ab", Some("1/ab")),
            ("mlflow-artifacts://other:5000/1/ab", None),
            ("mlflow-artifacts://mlflow:80/1/ab", None),
            ("s3://bucket/1/ab/artifacts", None),
            ("/srv/mlruns/1/ab", None),
        ] {
            assert_eq!(server.proxied(uri).as_deref(), path, "{uri}");
        }
    }

    #[test]
    fn credentials_are_a_token_or_a_user_with_a_password() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("credentials");
        let read = |text: &str| {
            fs::write(&file, text).expect("a file");
            Credentials(file.clone()).read()
        };
        assert_eq!(read("a.b-c==\n").expect("a token"), "Bearer a.b-c==");
        assert_eq!(
            read("me:se cret\n").expect("a user"),
            "Basic bWU6c2UgY3JldA=="
        );
        for bad in ["", "top secret", "top:secret\nanother:line"] {
            let error = read(bad).expect_err(bad);
            assert!(error.contains("--mlflow-credentials-file"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
