//! Pushes one request over HTTP and classifies the response.

use super::credentials::Receiver;
use std::{io::Read as _, time::Duration};
use ureq::{
    Agent,
    http::{StatusCode, header::AUTHORIZATION},
    tls::TlsConfig,
};

/// Timeout of a push.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum length of the response body that is logged.
const REASON_BYTES_AT_MOST: u64 = 500;

/// Outcome of a push. The texts are for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PushOutcome {
    /// The receiver accepted the samples.
    Pushed,
    /// Permanent failure: 4xx except 429, and except 401 and 403 if a token is configured.
    Refused(String),
    /// Retryable failure: 5xx and 429.
    Error(String),
    /// No response, or the receiver refused the token, which may be replaced at any time.
    Unreachable(String),
}

/// Pushes to one receiver.
pub(super) struct Client {
    agent: Agent,
    receiver: Receiver,
}

impl Client {
    /// Reads the receiver's token and CA file once, so that an unusable one is reported at startup.
    ///
    /// # Errors
    /// One line that names the flag, the file and the remedy.
    pub(super) fn new(receiver: Receiver) -> Result<Self, String> {
        let tls = TlsConfig::builder().root_certs(receiver.authorities()?);
        if receiver.authorization()?.is_some() && receiver.address.in_the_open() {
            tracing::warn!(address = %receiver.address, "the remote-write token is sent in plain text; use an https address");
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            // A redirected push would lose its body.
            .max_redirects(0)
            // The receiver is in the same network.
            .proxy(None)
            .user_agent(concat!("digits-trainer/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build()
            .new_agent();
        Ok(Self { agent, receiver })
    }

    pub(super) fn push(&self, body: &[u8]) -> PushOutcome {
        let mut request = self
            .agent
            .post(self.receiver.address.as_str())
            .header("Content-Type", "application/x-protobuf")
            .header("Content-Encoding", "snappy")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0");
        match self.receiver.authorization() {
            Ok(Some(token)) => request = request.header(AUTHORIZATION, token),
            Ok(None) => {}
            Err(reason) => return PushOutcome::Unreachable(reason),
        }
        let mut answer = match request.send(body) {
            Ok(answer) => answer,
            Err(error) => return PushOutcome::Unreachable(error.to_string()),
        };
        let status = answer.status();
        if status.is_success() {
            return PushOutcome::Pushed;
        }
        let mut reason = Vec::new();
        // A truncated reason is better than none.
        let _ = answer
            .body_mut()
            .as_reader()
            .take(REASON_BYTES_AT_MOST)
            .read_to_end(&mut reason);
        let reason = String::from_utf8_lossy(&reason);
        let reason = format!("{status}: {}", reason.lines().next().unwrap_or_default());
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            PushOutcome::Error(reason)
        } else if self.receiver.token_file.is_some()
            && matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        {
            PushOutcome::Unreachable(reason)
        } else {
            PushOutcome::Refused(reason)
        }
    }
}
