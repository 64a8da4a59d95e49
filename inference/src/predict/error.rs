//! Errors of a prediction. The codecs map them to status codes.

use super::batch::QueueError;

/// Errors of a prediction.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// Images that cannot be read, by their index in the request.
    #[error("{} images cannot be read", .0.len())]
    InvalidImages(Vec<InvalidImage>),
    /// The pictures of other requests leave no room, or no time until the deadline.
    #[error("too many pictures wait to be decoded")]
    PicturesFull,
    /// The client stopped waiting before the request was processed.
    #[error("deadline exceeded before the request was processed")]
    DeadlineExceeded,
    /// The network did not compute it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Preprocessing panicked; the log has the message.
    #[error("preprocessing panicked")]
    Panicked,
}

/// An image that cannot be read.
#[derive(Debug)]
pub struct InvalidImage {
    /// Index of the picture, or of the value in a tensor.
    pub index: usize,
    /// What is wrong with it; written for clients.
    pub message: String,
}
