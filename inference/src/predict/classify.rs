//! The last stage: turns logits into probabilities and the most probable label, and records the
//! metrics.

use super::pixels::Pixels;
use crate::{
    engine::probability::{Softmax, most_probable},
    model::ActiveRoute,
};

/// The most probable label of one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Classification {
    /// Index of the label.
    pub label: usize,
    /// Its probability.
    pub confidence: f32,
}

/// Classifications of the network's inputs.
pub struct Classified {
    /// The most probable label of each input.
    pub labels: Vec<Classification>,
    /// [m, classes].
    pub probabilities: Vec<f32>,
}

/// Classifies by `logits`, [m, classes], and counts the images, their ink, labels and confidences
/// in the metrics of the route.
#[must_use]
pub fn classify(route: &ActiveRoute, pixels: &Pixels, logits: &[f32]) -> Classified {
    let metrics = &route.metrics;
    route.tally.ink(pixels.ink());
    let classes = route.checkpoint.network.classes();
    let mut softmax = Softmax::new(route.checkpoint.manifest.temperature, classes);
    let mut probabilities = vec![0.0; logits.len()];
    let mut labels = Vec::with_capacity(logits.len() / classes);
    let mut confidence_sum = 0.0;
    let images = logits.chunks_exact(classes);
    for (logits, probabilities) in images.zip(probabilities.chunks_exact_mut(classes)) {
        softmax.of(logits, probabilities);
        let label = most_probable(probabilities);
        let confidence = probabilities[label];
        metrics.confidence.record(f64::from(confidence));
        route.tally.label(label);
        confidence_sum += f64::from(confidence);
        labels.push(Classification { label, confidence });
    }
    metrics.images.increment(labels.len() as u64);
    route.tally.confidence(confidence_sum);
    Classified {
        labels,
        probabilities,
    }
}
