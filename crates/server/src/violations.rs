//! Collects everything that is wrong with a request, so that the client learns it in one answer.
//! What is right or wrong is each service's to know.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// Bytes of field and message, over all violations that are told. They travel in HTTP/2 headers, twice in the
/// details (base64) and once in the message (up to three bytes for one), and clients accept 8 KiB of those.
const MAX_TOLD_BYTES: usize = 1200;
const MAX_TEXT_BYTES: usize = 200;

/// Violations found so far.
#[derive(Debug, Default)]
pub struct Violations {
    /// As many as fit into [`MAX_TOLD_BYTES`].
    told: Vec<FieldViolation>,
    told_bytes: usize,
    found: usize,
}

impl Violations {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. `field` is the path in the request, such as `spec.optimizer.learning_rate`; `message` is
    /// lower case and says what would be right. Long texts are cut.
    pub fn push(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.found += 1;
        let (field, message) = (cut(field.into()), cut(message.into()));
        let told_bytes = self.told_bytes + field.len() + message.len();
        if told_bytes <= MAX_TOLD_BYTES {
            self.told_bytes = told_bytes;
            self.told.push(FieldViolation::new(field, message));
        }
    }

    /// Whether the request is fine so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found == 0
    }

    /// How many were found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found
    }

    /// INVALID_ARGUMENT with a message that names the fields, and a `google.rpc.BadRequest`.
    #[must_use]
    pub fn into_status(self) -> Status {
        let mut message = self
            .told
            .iter()
            .map(|v| format!("{}: {}", v.field, v.description))
            .collect::<Vec<_>>()
            .join("; ");
        let untold = self.found - self.told.len();
        if untold > 0 {
            message.push_str(&format!("; and {untold} more"));
        }
        Status::with_error_details(
            Code::InvalidArgument,
            message,
            ErrorDetails::with_bad_request(self.told),
        )
    }

    /// `Ok` when nothing was found.
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

/// At most [`MAX_TEXT`] bytes, cut between characters.
fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
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
    fn nothing_found_is_ok() {
        assert!(Violations::new().into_result().is_ok());
    }

    #[test]
    fn a_hostile_request_does_not_make_a_huge_answer() {
        let mut violations = Violations::new();
        for _ in 0..1000 {
            violations.push("ß".repeat(5000), "é".repeat(5000));
        }
        let status = violations.into_status();
        assert!(status.message().ends_with(" more"));
        // Percent-encoded, and in base64.
        let wire = status.message().len() * 3 + status.details().len() * 4 / 3;
        assert!(wire < 8 * 1024, "{wire}");
    }
}
