//! Metrics of the pictures that wait or are decoded.

use metrics::{Counter, Gauge, counter, gauge};

/// Handles of the pictures' queue.
pub struct PictureMetrics {
    /// Bytes of the encoded pictures that wait or are decoded.
    pub queued_bytes: Gauge,
    /// Their pixels.
    pub queued_pixels: Gauge,
    /// Bytes that decoding takes.
    pub memory: Gauge,
    /// Since when the oldest waiting picture waits.
    pub oldest: Gauge,
    /// Requests refused because others left no room or no time.
    pub refused: Counter,
}

impl PictureMetrics {
    /// Looks the handles up.
    #[must_use]
    pub fn new() -> Self {
        Self {
            queued_bytes: gauge!("digits_inference_pictures_queued_bytes"),
            queued_pixels: gauge!("digits_inference_pictures_queued_pixels"),
            memory: gauge!("digits_inference_pictures_memory_bytes"),
            oldest: gauge!("digits_inference_pictures_waiting_since_timestamp_seconds"),
            refused: counter!("digits_inference_pictures_refused_total"),
        }
    }
}

impl Default for PictureMetrics {
    fn default() -> Self {
        Self::new()
    }
}
