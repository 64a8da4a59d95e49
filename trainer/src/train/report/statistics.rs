//! The statistics of a report card, from the predictions of a network. Knows no tensors.

use digits_checkpoint::manifest::{Calibration, CoverageError};

/// Bins of the expected calibration error.
const BINS: usize = 15;
/// Shares of the images that are kept, the most confident first.
const COVERAGES: [f64; 2] = [0.95, 0.98];

/// The prediction for one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prediction {
    /// The true label.
    pub(super) label: u16,
    /// The most probable label; of several the first.
    pub(super) predicted: u16,
    /// Its probability.
    pub(super) confidence: f64,
    /// −ln of the true label's probability.
    pub(super) loss: f64,
}

impl Prediction {
    /// From the logits of one image, divided by `temperature` before the softmax.
    pub(super) fn of(logits: &[f32], label: u16, temperature: f64) -> Self {
        let mut predicted = 0;
        for (at, logit) in logits.iter().enumerate() {
            if *logit > logits[predicted] {
                predicted = at;
            }
        }
        let scaled = |at: usize| f64::from(logits[at]) / temperature;
        let highest = scaled(predicted);
        let sum: f64 = (0..logits.len())
            .map(|at| (scaled(at) - highest).exp())
            .sum();
        Self {
            label,
            predicted: u16::try_from(predicted).unwrap_or(u16::MAX),
            confidence: 1.0 / sum,
            loss: sum.ln() + highest - scaled(usize::from(label)),
        }
    }

    pub(super) fn is_correct(&self) -> bool {
        self.label == self.predicted
    }
}

/// Share of wrong predictions; there must be at least one prediction.
pub(super) fn error(predictions: &[Prediction]) -> f64 {
    let wrong = predictions
        .iter()
        .filter(|prediction| !prediction.is_correct())
        .count();
    wrong as f64 / predictions.len() as f64
}

/// Likelihood and calibration error.
pub(super) fn calibration(predictions: &[Prediction], temperature: f64) -> Calibration {
    let count = predictions.len() as f64;
    let loss: f64 = predictions.iter().map(|prediction| prediction.loss).sum();
    // Sum of confidence minus accuracy by bin; bin k holds confidences in (k/15, (k+1)/15].
    let mut surplus = [0.0; BINS];
    for prediction in predictions {
        let bin = (prediction.confidence * BINS as f64).ceil() as usize;
        let hit = f64::from(u8::from(prediction.is_correct()));
        surplus[bin.clamp(1, BINS) - 1] += prediction.confidence - hit;
    }
    Calibration {
        temperature,
        negative_log_likelihood: loss / count,
        expected_calibration_error: surplus.iter().map(|it: &f64| it.abs()).sum::<f64>() / count,
        bins: BINS as u32,
    }
}

/// Error among the most confident predictions, for each share of the images.
pub(super) fn coverages(predictions: &[Prediction]) -> Vec<CoverageError> {
    let mut most_confident: Vec<&Prediction> = predictions.iter().collect();
    most_confident.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    COVERAGES
        .into_iter()
        .map(|coverage| {
            let kept = (coverage * predictions.len() as f64).round() as usize;
            let kept = &most_confident[..kept.clamp(1, predictions.len())];
            let wrong = kept
                .iter()
                .filter(|prediction| !prediction.is_correct())
                .count();
            CoverageError {
                coverage,
                error: wrong as f64 / kept.len() as f64,
                threshold: kept[kept.len() - 1].confidence,
            }
        })
        .collect()
}

/// Images by true label and predicted label.
pub(super) fn confusion(predictions: &[Prediction], classes: usize) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; classes]; classes];
    for prediction in predictions {
        counts[usize::from(prediction.label)][usize::from(prediction.predicted)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(confidence: f64, right: bool) -> Prediction {
        Prediction {
            label: 1,
            predicted: u16::from(right),
            confidence,
            loss: 1.0,
        }
    }

    #[test]
    fn a_prediction_matches_its_computation_by_hand() {
        // A difference of ln 3: probabilities 3/4 and 1/4. Halved by the temperature: √3 to 1.
        let logits = [0.0, 3.0_f32.ln()];
        for (label, temperature, confidence, loss) in [
            (1, 1.0, 0.75, (4.0_f64 / 3.0).ln()),
            (0, 1.0, 0.75, 4.0_f64.ln()),
            (
                0,
                2.0,
                3.0_f64.sqrt() / (1.0 + 3.0_f64.sqrt()),
                (1.0 + 3.0_f64.sqrt()).ln(),
            ),
        ] {
            let prediction = Prediction::of(&logits, label, temperature);
            assert_eq!((prediction.label, prediction.predicted), (label, 1));
            assert_eq!(prediction.is_correct(), label == 1);
            assert!(
                (prediction.confidence - confidence).abs() < 1e-7,
                "{prediction:?}"
            );
            assert!((prediction.loss - loss).abs() < 1e-7, "{prediction:?}");
        }
        // Far beyond what exp can hold.
        let sure = Prediction::of(&[-2_000.0, 2_000.0], 0, 0.5);
        assert_eq!((sure.confidence, sure.loss), (1.0, 8_000.0));
        assert_eq!(Prediction::of(&[2.0, 2.0], 0, 1.0).predicted, 0);
    }

    #[test]
    fn the_calibration_error_matches_its_computation_by_hand() {
        // A bin with mean confidence 0.9 and accuracy 1/2, and one with 0.25 and 0.
        let predictions = [
            prediction(0.88, true),
            prediction(0.92, false),
            prediction(0.25, false),
        ];
        let found = calibration(&predictions, 1.5);
        let expected = (2.0 * (0.9 - 0.5) + 0.25) / 3.0;
        // 0.88 and 0.92 lie in (13/15, 14/15].
        assert!(
            (found.expected_calibration_error - expected).abs() < 1e-12,
            "{found:?}"
        );
        assert_eq!(found.negative_log_likelihood, 1.0);
        assert_eq!((found.temperature, found.bins), (1.5, 15));
        // Certain and right is perfect; the border belongs to the bin below.
        assert_eq!(
            calibration(&[prediction(1.0, true)], 1.0).expected_calibration_error,
            0.0
        );
        let border = [prediction(1.0 / 15.0, true), prediction(1.01 / 15.0, false)];
        let apart = (1.0 - 1.0 / 15.0 + 1.01 / 15.0) / 2.0;
        let found = calibration(&border, 1.0).expected_calibration_error;
        assert!((found - apart).abs() < 1e-12, "{found}");
    }

    #[test]
    fn coverage_leaves_the_least_confident_predictions_out() {
        let mut predictions: Vec<Prediction> = (0..100)
            .map(|at| prediction(0.5 + f64::from(at) / 200.0, at >= 6))
            .collect();
        predictions.reverse();
        let [at_95, at_98] = coverages(&predictions)[..] else {
            panic!("two");
        };
        assert_eq!((at_95.coverage, at_95.error), (0.95, 1.0 / 95.0));
        assert_eq!(at_95.threshold, 0.525);
        assert_eq!((at_98.coverage, at_98.error), (0.98, 4.0 / 98.0));
        assert_eq!(error(&predictions), 0.06);
        assert_eq!(coverages(&predictions[..1])[0].error, 0.0);
    }

    #[test]
    fn the_confusion_matrix_counts_true_and_predicted_labels() {
        let predictions = [
            prediction(0.5, true),
            prediction(0.5, false),
            prediction(0.6, false),
        ];
        assert_eq!(
            confusion(&predictions, 3),
            [[0, 0, 0], [2, 1, 0], [0, 0, 0]]
        );
    }
}
