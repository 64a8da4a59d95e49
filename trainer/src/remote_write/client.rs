//! One push over HTTP, and what its answer means.

use std::{fmt, io::Read as _, str::FromStr, time::Duration};
use ureq::{Agent, http::StatusCode};
use url::Url;

/// A push takes longer only where nobody answers.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Of a refusal's reason, for the log.
const REASON_BYTES_AT_MOST: u64 = 500;

/// Where points are pushed to: an http or https address, such as `http://127.0.0.1:9090/api/v1/write`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Url);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "such as http://127.0.0.1:9090/api/v1/write";
        let url = Url::parse(text)
            .map_err(|error| format!("is no address ({error}): give one {example}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(format!("must be an http or https address, {example}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "must have no user and password in it: push through a proxy that adds them"
                    .to_owned(),
            );
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What became of a push. The texts are for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was taken.
    Pushed,
    /// It never will be: 4xx but for 429.
    Refused(String),
    /// It may be, later: 5xx and 429.
    Error(String),
    /// Nobody answered.
    Unreachable(String),
}

/// Pushes to one address.
pub(super) struct Client {
    agent: Agent,
    address: Address,
}

impl Client {
    pub(super) fn new(address: Address) -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            // A redirected push would lose its body.
            .max_redirects(0)
            // The receiver is a neighbour.
            .proxy(None)
            .user_agent(concat!("digits-trainer/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Self { agent, address }
    }

    pub(super) fn push(&self, body: &[u8]) -> Verdict {
        let answer = self
            .agent
            .post(self.address.0.as_str())
            .header("Content-Type", "application/x-protobuf")
            .header("Content-Encoding", "snappy")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0")
            .send(body);
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Verdict::Unreachable(error.to_string()),
        };
        let status = answer.status();
        if status.is_success() {
            return Verdict::Pushed;
        }
        let mut reason = Vec::new();
        // A reason that breaks off is better than none.
        let _ = answer
            .body_mut()
            .as_reader()
            .take(REASON_BYTES_AT_MOST)
            .read_to_end(&mut reason);
        let reason = String::from_utf8_lossy(&reason);
        let told = format!("{status}: {}", reason.lines().next().unwrap_or_default());
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Verdict::Error(told)
        } else {
            Verdict::Refused(told)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in [
            "http://127.0.0.1:9090/api/v1/write",
            "https://prometheus/api/v1/write",
        ] {
            assert!(good.parse::<Address>().is_ok(), "{good}");
        }
        for (bad, part) in [
            ("127.0.0.1:9090", "address"),
            ("prometheus", "address"),
            ("ftp://prometheus/", "http"),
            ("http://me:secret@prometheus/", "password"),
        ] {
            let error = bad.parse::<Address>().expect_err(bad);
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
