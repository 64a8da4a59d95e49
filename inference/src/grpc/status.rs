//! Maps errors of the pipeline to gRPC status codes.

use crate::predict::{PredictError, batch::QueueError};
use digits_server::{retry_status, violations::Violations};
use std::time::Duration;
use tonic::Status;

/// When a client should retry after it found the queue full.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// INVALID_ARGUMENT, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED or INTERNAL. `field` names the field of
/// the request that holds an image, by its index.
pub fn from_predict_error(error: PredictError, field: impl Fn(usize) -> String) -> Status {
    match error {
        PredictError::InvalidImages(images) => {
            let mut violations = Violations::new();
            for image in images {
                violations.push(field(image.index), image.message);
            }
            violations.into_status()
        }
        PredictError::Queue(QueueError::Full) => {
            retry_status("inference queue is full; retry later", RETRY_AFTER)
        }
        PredictError::PicturesFull => retry_status(
            "too many pictures wait to be decoded; retry later",
            RETRY_AFTER,
        ),
        PredictError::DeadlineExceeded | PredictError::Queue(QueueError::Overdue) => {
            Status::deadline_exceeded("deadline exceeded before the request was processed")
        }
        PredictError::Panicked | PredictError::Queue(QueueError::EngineFailed) => {
            Status::internal("the request failed; see the server's log")
        }
    }
}

/// INVALID_ARGUMENT for one field.
pub fn invalid_field(field: &str, message: impl Into<String>) -> Status {
    let mut violations = Violations::new();
    violations.push(field, message);
    violations.into_status()
}
