//! Limits of one request, and of the queue.

use super::{batch::QueueLimits, picture_queue::PictureQueueLimits};

/// Limits of one request, and of the queue.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Limits of the batch queue.
    pub queue: QueueLimits,
    /// Maximum number of images sent as pixels, and of segments of pictures of numbers.
    pub max_images: usize,
    /// Maximum number of encoded pictures.
    pub max_pictures: usize,
    /// Limits of one picture.
    pub picture: digits_picture::Limits,
    /// Limits of the pictures of all requests.
    pub picture_queue: PictureQueueLimits,
    /// Maximum size of a response, in bytes.
    pub max_response_bytes: usize,
}
