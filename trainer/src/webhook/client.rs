//! Sends one event to a receiver and classifies the response. Blocks.

use super::{
    address::WebhookUrl,
    secrets::{Secrets, sign},
};
use crate::{job::now_us, wire::cloud_event::CloudEvent};
use std::time::Duration;
use ureq::{
    Agent,
    http::StatusCode,
    tls::{RootCerts, TlsConfig},
};

/// Timeout of an attempt.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Outcome of an attempt. The texts are for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The receiver accepted the event.
    Accepted,
    /// The receiver never will accept it.
    Refused(String),
    /// A later attempt may succeed.
    Failed(String),
}

/// Sends events to one receiver.
pub(super) struct Client {
    agent: Agent,
    url: WebhookUrl,
    secrets: Secrets,
}

impl Client {
    pub(super) fn new(url: WebhookUrl, secrets: Secrets, authorities: RootCerts) -> Self {
        let tls = TlsConfig::builder().root_certs(authorities);
        let agent = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            // A redirected event would lose its body.
            .max_redirects(0)
            // An address is called as it is given; ureq would take a proxy from the environment.
            .proxy(None)
            .user_agent(concat!("digits-trainer/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build()
            .new_agent();
        Self {
            agent,
            url,
            secrets,
        }
    }

    pub(super) fn url(&self) -> &WebhookUrl {
        &self.url
    }

    pub(super) fn send(&self, event: &CloudEvent) -> Attempt {
        let keys = match self.secrets.read() {
            Ok(keys) => keys,
            Err(reason) => return Attempt::Failed(reason),
        };
        let seconds = now_us().div_euclid(1_000_000);
        let sent = self
            .agent
            .post(self.url.as_str())
            .header("Content-Type", "application/cloudevents+json")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", seconds.to_string())
            .header(
                "webhook-signature",
                sign(&keys, &event.id, seconds, &event.body),
            )
            .send(&event.body);
        match sent {
            Ok(answer) => classify(answer.status()),
            Err(error) => Attempt::Failed(error.to_string()),
        }
    }
}

/// Statuses that say that the event itself is wrong are final; every other failure may be mended at
/// the receiver.
fn classify(status: StatusCode) -> Attempt {
    match status.as_u16() {
        200..=299 => Attempt::Accepted,
        400 | 410 | 413 | 415 | 422 => Attempt::Refused(status.to_string()),
        _ => Attempt::Failed(status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_event_that_is_wrong_itself_is_given_up() {
        for (status, given_up) in [
            (400, true),
            (410, true),
            (404, false),
            (429, false),
            (503, false),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let refused = matches!(classify(status), Attempt::Refused(_));
            assert_eq!(refused, given_up, "{status}");
        }
        assert_eq!(classify(StatusCode::NO_CONTENT), Attempt::Accepted);
        assert!(matches!(classify(StatusCode::FOUND), Attempt::Failed(_)));
    }
}
