//! Calls of MLflow's REST API 2.0, and the classification of its answers.
//!
//! The API: <https://mlflow.org/docs/latest/api_reference/rest-api.html>.

use super::address::{Credentials, TrackingUri};
use crate::tracker::follow::Failure;
use bytes::Bytes;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::task::spawn_blocking;
use ureq::{
    Agent, Body,
    http::{Method, Request, Response, header::AUTHORIZATION},
    tls::{RootCerts, TlsConfig},
};
use url::form_urlencoded::Serializer;

/// Timeout of a call.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of the upload of a file.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 4 << 20;
/// Characters of a server's message that are logged.
const MAX_REASON_CHARS: usize = 300;

/// What became of a call.
#[derive(Debug)]
pub(super) enum CallError {
    /// A later attempt may succeed.
    Unavailable(String),
    /// The server refused the call itself.
    Refused {
        /// The error code of the API.
        code: String,
        /// Code and message, for the log.
        reason: String,
    },
}

impl CallError {
    /// Whether the server refused the call with this code.
    pub(super) fn is(&self, expected: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == expected)
    }
}

/// For calls that the server refuses only for a reason that its operator can mend.
impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unavailable(reason) | CallError::Refused { reason, .. } => {
                Self::Unavailable(reason)
            }
        }
    }
}

/// Calls one server; cheap to clone.
#[derive(Clone)]
pub(in crate::tracker) struct Client {
    agent: Agent,
    uploads: Agent,
    address: Arc<TrackingUri>,
    credentials: Option<Credentials>,
}

impl Client {
    pub(in crate::tracker) fn new(
        address: TrackingUri,
        credentials: Option<Credentials>,
        authorities: RootCerts,
    ) -> Self {
        let tls = TlsConfig::builder().root_certs(authorities);
        let tls = tls.build();
        let agent = |timeout| {
            Agent::config_builder()
                .timeout_global(Some(timeout))
                .http_status_as_error(false)
                // A redirected call would lose its body.
                .max_redirects(0)
                // An address is called as it is given; ureq would take a proxy from the
                // environment.
                .proxy(None)
                .user_agent(concat!("digits-trainer/", env!("CARGO_PKG_VERSION")))
                .tls_config(tls.clone())
                .build()
                .new_agent()
        };
        Self {
            agent: agent(TIMEOUT),
            uploads: agent(UPLOAD_TIMEOUT),
            address: Arc::new(address),
            credentials,
        }
    }

    pub(super) fn address(&self) -> &TrackingUri {
        &self.address
    }

    /// Calls a method of the tracking or registry API that reads.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, CallError> {
        let query = Serializer::new(String::new()).extend_pairs(query).finish();
        let path = format!("/api/2.0/mlflow/{path}?{query}");
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// Calls a method that changes something, or reads by a body.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.send(Method::POST, path, body).await
    }

    /// Calls a method that changes something, or deletes it.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, CallError> {
        let path = format!("/api/2.0/mlflow/{path}");
        self.call(method, path, body.to_string().into()).await
    }

    /// Uploads a file through the server's proxy of artifacts.
    pub(super) async fn upload(&self, path: &str, bytes: Bytes) -> Result<(), CallError> {
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/{path}");
        self.call(Method::PUT, path, bytes).await.map(|_| ())
    }

    async fn call(&self, method: Method, path: String, body: Bytes) -> Result<Value, CallError> {
        let client = self.clone();
        let called = spawn_blocking(move || client.call_blocking(method, &path, &body));
        let unavailable = |error: &dyn std::fmt::Display| CallError::Unavailable(error.to_string());
        called.await.map_err(|error| unavailable(&error))?
    }

    fn call_blocking(&self, method: Method, path: &str, body: &[u8]) -> Result<Value, CallError> {
        let unavailable = |error: &dyn std::fmt::Display| CallError::Unavailable(error.to_string());
        let (kind, agent) = match method {
            Method::PUT => ("application/octet-stream", &self.uploads),
            _ => ("application/json", &self.agent),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(self.address.join(path))
            .header("Content-Type", kind);
        if let Some(credentials) = &self.credentials {
            let authorization = credentials.read().map_err(CallError::Unavailable)?;
            request = request.header(AUTHORIZATION, authorization);
        }
        let answer = match body {
            [] => request.body(()).map(|request| agent.run(request)),
            body => request.body(body).map(|request| agent.run(request)),
        };
        let answer = answer.map_err(|error| unavailable(&error))?;
        read(answer.map_err(|error| unavailable(&error))?)
    }
}

fn read(mut answer: Response<Body>) -> Result<Value, CallError> {
    let status = answer.status();
    let body = answer
        .body_mut()
        .with_config()
        .limit(MAX_ANSWER_BYTES)
        .read_to_vec()
        .map_err(|error| CallError::Unavailable(error.to_string()))?;
    let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_success() {
        return Ok(parsed);
    }
    let text = |key: &str| parsed[key].as_str().unwrap_or_default();
    let (code, message) = (text("error_code"), text("message"));
    let said = match message {
        "" => String::from_utf8_lossy(&body),
        message => message.into(),
    };
    let said: String = said.chars().take(MAX_REASON_CHARS).collect();
    let reason = format!(
        "{status}: {code} {}",
        said.lines().next().unwrap_or_default()
    );
    let final_status = match status.as_u16() {
        // Who may do what can be mended, and so can a server that is asked too often.
        401 | 403 | 408 | 429 => false,
        413 => true,
        status => (400..500).contains(&status) && !code.is_empty(),
    };
    match final_status {
        true => Err(CallError::Refused {
            code: code.to_owned(),
            reason,
        }),
        false => Err(CallError::Unavailable(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(status: u16, body: &str) -> Result<Value, CallError> {
        let body = Body::builder().data(body.to_owned());
        let answer = Response::builder().status(status).body(body);
        read(answer.expect("an answer"))
    }

    #[test]
    fn what_the_api_itself_refuses_is_final() {
        let refusal = r#"{"error_code": "INVALID_PARAMETER_VALUE", "message": "bad\nand more"}"#;
        for (status, body, refused) in [
            (400, refusal, true),
            (404, refusal, true),
            (413, "too large", true),
            (401, refusal, false),
            (403, "Invalid Host header", false),
            (404, "<html>not found</html>", false),
            (429, refusal, false),
            (302, "", false),
            (500, r#"{"error_code": "INTERNAL_ERROR"}"#, false),
        ] {
            let error = classify(status, body).expect_err("an error");
            let found = matches!(error, CallError::Refused { .. });
            assert_eq!(found, refused, "{status} {body}: {error:?}");
        }
        let error = classify(400, refusal).expect_err("refused");
        assert!(error.is("INVALID_PARAMETER_VALUE"));
        assert_eq!(
            format!("{:?}", Failure::from(error)),
            r#"Unavailable("400 Bad Request: INVALID_PARAMETER_VALUE bad")"#
        );
        assert_eq!(classify(200, "").expect("an answer"), Value::Null);
    }
}
