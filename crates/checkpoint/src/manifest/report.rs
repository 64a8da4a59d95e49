//! The report card in a manifest: what a checkpoint does on the test images of its data set, as
//! they are and corrupted.
//!
//! For people and for comparisons; no reader decides by it whether a checkpoint is served. Shares
//! go from 0 to 1.

use serde::{Deserialize, Serialize};

/// Bounds of a report, so that a manifest stays small.
pub mod report_limits {
    /// With more classes the confusion matrix is left out.
    pub const CONFUSION_CLASSES: usize = 64;
    /// Hardest images that are named.
    pub const HARDEST: usize = 16;
    /// Images of more pixels are named without their pixels.
    pub const HARDEST_PIXELS: usize = 4096;
}

/// `report` in a manifest. Computed on the CPU in float32; probabilities are those after the
/// checkpoint's temperature, in float64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Test images.
    pub images: u64,
    /// Images whose most probable label was not the right one.
    pub errors: u64,
    /// Calibration of the probabilities.
    pub calibration: Calibration,
    /// Accuracy when the least confident images may be left unanswered.
    pub coverages: Vec<CoverageError>,
    /// Results on corrupted copies of the test images.
    pub corruptions: Vec<CorruptionError>,
    /// Mean of the errors under `corruptions`.
    pub mean_corruption_error: f64,
    /// Seed of the corruptions.
    pub corruption_seed: u64,
    /// Results on drawn digits, by their style; empty unless the labels are digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub styles: Vec<StyleError>,
    /// Images by true label and predicted label; empty above [`report_limits::CONFUSION_CLASSES`]
    /// classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
    /// The images with the highest loss, highest first; at most [`report_limits::HARDEST`].
    pub hardest: Vec<HardImage>,
    /// Version of the program that measured it.
    pub program_version: String,
    /// Version of libtorch that it was measured with.
    pub libtorch_version: String,
    /// Seconds that the measuring took.
    pub seconds: f64,
}

impl Report {
    /// errors / images, from 0 to 1.
    #[must_use]
    pub fn error(&self) -> f64 {
        if self.images == 0 {
            0.0
        } else {
            self.errors as f64 / self.images as f64
        }
    }

    /// Mean of the errors under `styles`, 0 without any.
    #[must_use]
    pub fn mean_style_error(&self) -> f64 {
        let sum: f64 = self.styles.iter().map(|one| one.error).sum();
        sum / self.styles.len().max(1) as f64
    }
}

/// Calibration of a checkpoint's probabilities on the test images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Temperature by which the logits were divided.
    pub temperature: f64,
    /// Mean of −ln of the right label's probability, in nats.
    pub negative_log_likelihood: f64,
    /// Expected calibration error (Guo and others, 2017), over bins of equal width of the highest
    /// probability.
    pub expected_calibration_error: f64,
    /// Bins of that error.
    pub bins: u32,
}

/// Selective classification by the highest probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoverageError {
    /// Share of the images that are answered.
    pub coverage: f64,
    /// Share of wrong answers among them.
    pub error: f64,
    /// Lowest probability of an answer among them.
    pub threshold: f64,
}

/// The error on one kind of corrupted images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorruptionError {
    /// One of MNIST-C's fifteen (Mu and Gilmer, 2019), such as `shot_noise`.
    pub corruption: String,
    /// Share of wrong answers.
    pub error: f64,
}

/// The error on digits drawn in one style.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StyleError {
    /// The label.
    pub label: String,
    /// How the digit is written, such as `long flag and foot`.
    pub style: String,
    /// Number of images.
    pub images: u64,
    /// Share of wrong answers.
    pub error: f64,
}

/// A test image that a checkpoint finds hard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HardImage {
    /// Number of the image in the test part, from 0.
    pub index: u64,
    /// The true label.
    pub label: u16,
    /// The label it was taken for.
    pub predicted: u16,
    /// Probability of the predicted label.
    pub probability: f64,
    /// −ln of the true label's probability, in nats.
    pub loss: f64,
    /// height × width grey bytes; in hexadecimal. Empty above [`report_limits::HARDEST_PIXELS`]
    /// pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "hex::serde")]
    pub pixels: Vec<u8>,
}
