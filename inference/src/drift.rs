//! Drift: labels, ink and confidence of the classified images, compared with the training set.
//!
//! Images are compared in windows, with the figures in the checkpoint's manifest. A request only
//! adds to counters; the loader compares, between two polls of the storage.

use crate::metrics::DriftValues;
use digits_checkpoint::manifest::Manifest;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Least number of images of a window. The label shares of a window of the training set itself are
/// about 0.04 away from those of the whole, for ten even classes.
pub const WINDOW_IMAGES: u64 = 1_000;
/// Resolution in which confidence is summed.
const CONFIDENCE_UNIT: f64 = 1e6;

/// Counts of one checkpoint in one role.
pub struct Tally {
    /// Images by most probable label.
    labels: Box<[AtomicU64]>,
    /// Sum of their pixels.
    ink: AtomicU64,
    /// Sum of their confidences, in [`CONFIDENCE_UNIT`].
    confidence: AtomicU64,
    /// Counts at the start of the window; read by the loader alone.
    begin: Mutex<Counts>,
}

impl Tally {
    pub(crate) fn new(classes: usize) -> Self {
        Self {
            labels: (0..classes).map(|_| AtomicU64::new(0)).collect(),
            ink: AtomicU64::new(0),
            confidence: AtomicU64::new(0),
            begin: Mutex::default(),
        }
    }

    pub(crate) fn label(&self, index: usize) {
        if let Some(count) = self.labels.get(index) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn ink(&self, sum: u64) {
        self.ink.fetch_add(sum, Relaxed);
    }

    pub(crate) fn confidence(&self, sum: f64) {
        self.confidence
            .fetch_add((sum * CONFIDENCE_UNIT) as u64, Relaxed);
    }

    /// The figures of the window if it is full; then the next one begins.
    pub fn step(&self, manifest: &Manifest) -> Option<DriftValues> {
        let mut begin = self.begin.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.read();
        let before = |index: usize| begin.labels.get(index).copied().unwrap_or(0);
        let labels = now.labels.iter().enumerate();
        let labels: Vec<u64> = labels
            .map(|(index, &count)| count - before(index))
            .collect();
        let images: u64 = labels.iter().sum();
        if images < WINDOW_IMAGES {
            return None;
        }
        let pixels = (images * manifest.architecture.input_size as u64) as f64;
        let confidence = (now.confidence - begin.confidence) as f64 / CONFIDENCE_UNIT;
        let training = manifest.training.as_ref();
        let validation = manifest.metrics.validation;
        let drift = DriftValues {
            labels: training.map(|training| distance(&labels, &training.label_counts)),
            ink: Some((now.ink - begin.ink) as f64 / pixels / 255.0),
            training_ink: training.map(|training| training.mean_ink),
            confidence: validation.map(|it| confidence / images as f64 - it.accuracy()),
        };
        *begin = now;
        Some(drift)
    }

    /// The counts now. Concurrent requests may have counted one figure and not yet another, which
    /// is a few images of a thousand.
    fn read(&self) -> Counts {
        Counts {
            labels: self
                .labels
                .iter()
                .map(|count| count.load(Relaxed))
                .collect(),
            ink: self.ink.load(Relaxed),
            confidence: self.confidence.load(Relaxed),
        }
    }
}

#[derive(Clone, Default)]
struct Counts {
    labels: Vec<u64>,
    ink: u64,
    confidence: u64,
}

/// Total variation distance between two distributions, given as counts.
fn distance(a: &[u64], b: &[u64]) -> f64 {
    let share = |counts: &[u64], index: usize| {
        let all: u64 = counts.iter().sum();
        counts.get(index).copied().unwrap_or(0) as f64 / all.max(1) as f64
    };
    let places = a.len().max(b.len());
    (0..places)
        .map(|index| (share(a, index) - share(b, index)).abs())
        .sum::<f64>()
        / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_known_values() {
        let cases: [(&[u64], &[u64], f64); 4] = [
            (&[1, 1], &[50, 50], 0.0),
            (&[1, 0], &[0, 7], 1.0),
            (&[3, 1], &[1, 3], 0.5),
            (&[1, 1, 2], &[1, 1], 0.5),
        ];
        for (a, b, expected) in cases {
            assert!(
                (distance(a, b) - expected).abs() < 1e-12,
                "{a:?} {b:?}: {}",
                distance(a, b)
            );
        }
    }
}
