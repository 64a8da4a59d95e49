//! One push over HTTP, and what its answer means.

use super::credentials::Receiver;
use std::{io::Read as _, time::Duration};
use ureq::{
    Agent,
    http::{StatusCode, header::AUTHORIZATION},
    tls::TlsConfig,
};

/// A push takes longer only where nobody answers.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Of a refusal's reason, for the log.
const REASON_BYTES_AT_MOST: u64 = 500;

/// What became of a push. The texts are for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was taken.
    Pushed,
    /// It never will be: 4xx but for 429, and 401 and 403 where there is a token.
    Refused(String),
    /// It may be, later: 5xx and 429.
    Error(String),
    /// Nobody answered, or it does not take our token: the next one may do.
    Unreachable(String),
}

/// Pushes to one receiver.
pub(super) struct Client {
    agent: Agent,
    receiver: Receiver,
}

impl Client {
    /// Reads the files of the receiver once, so that a wrong one is told now.
    ///
    /// # Errors
    /// One line.
    pub(super) fn new(receiver: Receiver) -> Result<Self, String> {
        let tls = TlsConfig::builder().root_certs(receiver.authorities()?);
        if receiver.authorization()?.is_some() && receiver.address.in_the_open() {
            tracing::warn!(address = %receiver.address, "the token is pushed in plain text: use https");
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            // A redirected push would lose its body.
            .max_redirects(0)
            // The receiver is a neighbour.
            .proxy(None)
            .user_agent(concat!("digits-trainer/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build()
            .new_agent();
        Ok(Self { agent, receiver })
    }

    pub(super) fn push(&self, body: &[u8]) -> Verdict {
        let mut request = self
            .agent
            .post(self.receiver.address.as_str())
            .header("Content-Type", "application/x-protobuf")
            .header("Content-Encoding", "snappy")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0");
        match self.receiver.authorization() {
            Ok(Some(token)) => request = request.header(AUTHORIZATION, token),
            Ok(None) => {}
            Err(reason) => return Verdict::Unreachable(reason),
        }
        let mut answer = match request.send(body) {
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
        } else if self.receiver.token_file.is_some()
            && matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        {
            Verdict::Unreachable(told)
        } else {
            Verdict::Refused(told)
        }
    }
}
