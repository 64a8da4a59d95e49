//! Statuses with machine-readable details (`google.rpc`). Those for invalid fields are in
//! [`crate::violations`].

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// RESOURCE_EXHAUSTED with a `google.rpc.RetryInfo`: try again after `retry_after`.
#[must_use]
pub fn retry_status(message: impl Into<String>, retry_after: Duration) -> Status {
    Status::with_error_details(
        Code::ResourceExhausted,
        message,
        ErrorDetails::with_retry_info(Some(retry_after)),
    )
}

/// UNAVAILABLE with a `google.rpc.RetryInfo`: try again after `retry_after`.
#[must_use]
pub fn unavailable_status(message: impl Into<String>, retry_after: Duration) -> Status {
    Status::with_error_details(
        Code::Unavailable,
        message,
        ErrorDetails::with_retry_info(Some(retry_after)),
    )
}

/// NOT_FOUND with a `google.rpc.ResourceInfo`. `resource` is the type of the resource, such as
/// `job`.
#[must_use]
pub fn not_found(
    resource: impl Into<String>,
    name: impl Into<String>,
    message: impl Into<String>,
) -> Status {
    let message = message.into();
    let details = ErrorDetails::with_resource_info(resource, name, "", message.clone());
    Status::with_error_details(Code::NotFound, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_its_details() {
        let status = retry_status("the queue is full; try again", Duration::from_millis(1500));
        assert_eq!(status.code(), Code::ResourceExhausted);
        let retry = status.get_details_retry_info().expect("retry info");
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(1500)));

        let status = not_found("job", "j-1", "no job j-1; list them with ListJobs");
        assert_eq!(status.code(), Code::NotFound);
        let resource = status.get_details_resource_info().expect("resource info");
        assert_eq!(resource.resource_type, "job");
        assert_eq!(resource.resource_name, "j-1");
    }
}
