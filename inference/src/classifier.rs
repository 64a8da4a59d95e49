//! From logits to the most probable label, in whatever part a checkpoint serves; and the one place where that is counted.

use crate::{
    engine::probability::{Softmax, most_probable},
    model::ActiveRoute,
    pixels::Pixels,
};

/// Judges the images of one request, and counts them when it is dropped.
pub struct Classifier<'a> {
    served: &'a ActiveRoute,
    softmax: Softmax,
    images: u64,
    confidence: f64,
}

/// What a network says of one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Classification {
    /// Index of the most probable label.
    pub label: usize,
    /// Its probability.
    pub confidence: f32,
}

impl ActiveRoute {
    /// A classifier of the images that are about to be told of.
    #[must_use]
    pub fn classifier(&self, pixels: &Pixels) -> Classifier<'_> {
        self.metrics.tally.ink(pixels.ink());
        let checkpoint = &self.checkpoint;
        Classifier {
            served: self,
            softmax: Softmax::new(
                checkpoint.manifest.temperature,
                checkpoint.network.classes(),
            ),
            images: 0,
            confidence: 0.0,
        }
    }
}

impl Classifier<'_> {
    /// The most probable label of an image; `logits` and `probabilities` have one value for each class.
    pub fn image(&mut self, logits: &[f32], probabilities: &mut [f32]) -> Classification {
        let metrics = &self.served.metrics;
        self.softmax.of(logits, probabilities);
        let label = most_probable(probabilities);
        let confidence = probabilities[label];
        metrics.confidence.record(f64::from(confidence));
        metrics.tally.label(label);
        self.images += 1;
        self.confidence += f64::from(confidence);
        Classification { label, confidence }
    }
}

impl Drop for Classifier<'_> {
    fn drop(&mut self) {
        self.served.metrics.images.increment(self.images);
        self.served.metrics.tally.confidence(self.confidence);
    }
}
