//! Collects everything that is wrong with a request, so that the client learns it from one
//! response.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// Bytes of fields and messages, over all violations that are listed. They are sent in HTTP/2
/// headers, twice in the details (base64) and once in the message (up to three bytes for each), and
/// clients accept 8 KiB of headers.
const MAX_LISTED_BYTES: usize = 1200;
const MAX_TEXT_BYTES: usize = 200;
const MAX_EXPLANATION_BYTES: usize = 600;

/// The violations found so far.
#[derive(Debug, Default)]
pub struct Violations {
    /// As many as fit into [`MAX_LISTED_BYTES`].
    listed: Vec<FieldViolation>,
    listed_bytes: usize,
    count: usize,
}

impl Violations {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. `field` is the path in the request, such as `spec.optimizer.learning_rate`;
    /// `message` is lower case and states what would be valid. Long texts are truncated.
    pub fn push(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.add(field.into(), truncate(message.into(), MAX_TEXT_BYTES));
    }

    /// As [`push`](Self::push), for a message of up to 600 bytes, such as one with lines of code.
    pub fn explain(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.add(
            field.into(),
            truncate(message.into(), MAX_EXPLANATION_BYTES),
        );
    }

    fn add(&mut self, field: String, message: String) {
        self.count += 1;
        let field = truncate(field, MAX_TEXT_BYTES);
        let listed_bytes = self.listed_bytes + field.len() + message.len();
        if listed_bytes <= MAX_LISTED_BYTES {
            self.listed_bytes = listed_bytes;
            self.listed.push(FieldViolation::new(field, message));
        }
    }

    /// Whether none was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of violations found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// INVALID_ARGUMENT with a message that names the fields, and a `google.rpc.BadRequest`.
    #[must_use]
    pub fn into_status(self) -> Status {
        let mut message = self
            .listed
            .iter()
            .map(|v| format!("{}: {}", v.field, v.description))
            .collect::<Vec<_>>()
            .join("; ");
        let omitted = self.count - self.listed.len();
        if omitted > 0 {
            message.push_str(&format!("; and {omitted} more"));
        }
        Status::with_error_details(
            Code::InvalidArgument,
            message,
            ErrorDetails::with_bad_request(self.listed),
        )
    }

    /// `Ok` if none was found.
    ///
    /// # Errors
    /// [`Violations::into_status`] otherwise.
    pub fn into_result(self) -> Result<(), Status> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.into_status())
        }
    }
}

/// At most `most` bytes, truncated between characters.
fn truncate(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_and_the_details_name_every_field() {
        let mut violations = Violations::new();
        assert!(violations.is_empty());
        violations.push("spec.epochs", "must be between 1 and 10000, not 0");
        violations.push("spec.hidden[0]", "must be between 1 and 65536, not 0");
        assert_eq!(violations.len(), 2);
        let status = violations.into_status();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.message(),
            "spec.epochs: must be between 1 and 10000, not 0; \
             spec.hidden[0]: must be between 1 and 65536, not 0"
        );
        let details = status.get_details_bad_request().expect("bad request");
        assert_eq!(details.field_violations[1].field, "spec.hidden[0]");
    }

    #[test]
    fn a_request_without_violations_is_ok() {
        assert!(Violations::new().into_result().is_ok());
    }

    #[test]
    fn many_long_violations_fit_into_the_headers_of_a_response() {
        let mut violations = Violations::new();
        for _ in 0..1000 {
            violations.push("ß".repeat(5000), "é".repeat(5000));
        }
        let status = violations.into_status();
        assert!(status.message().ends_with(" more"));
        // Percent-encoded, and in base64.
        let wire = status.message().len() * 3 + status.details().len() * 4 / 3;
        assert!(wire < 8 * 1024, "{wire}");
        let mut one = Violations::new();
        one.explain("piece", "x".repeat(5000));
        let explained = one.into_status().message().len();
        assert!((600..700).contains(&explained), "{explained}");
    }
}
