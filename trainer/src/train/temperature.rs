//! Temperature scaling: fits one temperature that divides the logits so that probabilities are
//! calibrated (C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural
//! networks", ICML 2017).
//!
//! The temperature minimizes the mean cross-entropy on the validation images. In the inverse
//! temperature β the loss is convex with the derivative mean(E_p[z] − z_label), whose zero is found
//! by Newton's method within a bracket, in float64. Knows no tensors.

use digits_checkpoint::manifest::TemperatureFit;

/// Bins of the expected calibration error: as in the paper.
const BINS: usize = 15;
/// Bound of the temperature, and its inverse the other one: if every image is classified correctly,
/// the loss has no minimum, and a few images would make every prediction certain.
const MAX_TEMPERATURE: f64 = 20.0;
/// Iterations; bisection alone needs about 50.
const MAX_ITERATIONS: usize = 100;

/// Logits of labelled images.
pub(super) struct LabelledLogits {
    /// [images, classes], before the softmax.
    pub(super) logits: Vec<f32>,
    /// True label of each image.
    pub(super) labels: Vec<u16>,
    /// Logits per image.
    pub(super) classes: usize,
}

impl LabelledLogits {
    fn each(&self) -> impl Iterator<Item = (&[f32], usize)> {
        let labels = self.labels.iter().map(|&label| usize::from(label));
        self.logits.chunks_exact(self.classes).zip(labels)
    }

    fn mean(&self, of: impl Fn(&[f32], usize) -> f64) -> f64 {
        let sum: f64 = self.each().map(|(logits, label)| of(logits, label)).sum();
        sum / self.labels.len() as f64
    }

    /// Mean cross-entropy at an inverse temperature, in nats.
    fn loss(&self, inverse: f64) -> f64 {
        self.mean(|logits, label| {
            let largest = largest(logits);
            let sum: f64 = logits
                .iter()
                .map(|&logit| ((f64::from(logit) - largest) * inverse).exp())
                .sum();
            sum.ln() - (f64::from(logits[label]) - largest) * inverse
        })
    }

    /// First and second derivative of the loss by the inverse temperature.
    fn slope(&self, inverse: f64) -> (f64, f64) {
        let (mut slope, mut curvature) = (0.0, 0.0);
        for (logits, label) in self.each() {
            let largest = largest(logits);
            let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
            for &logit in logits {
                let logit = f64::from(logit) - largest;
                let weight = (logit * inverse).exp();
                sum += weight;
                first += weight * logit;
                second += weight * logit * logit;
            }
            let mean = first / sum;
            slope += mean - (f64::from(logits[label]) - largest);
            curvature += second / sum - mean * mean;
        }
        let images = self.labels.len() as f64;
        (slope / images, curvature / images)
    }

    /// Expected calibration error at an inverse temperature: the mean over images of the distance
    /// between confidence and accuracy in their bin, with bins of equal width of the confidence.
    fn error(&self, inverse: f64) -> f64 {
        let mut gaps = [0.0; BINS];
        for (logits, label) in self.each() {
            let largest = largest(logits);
            let sum: f64 = logits
                .iter()
                .map(|&logit| ((f64::from(logit) - largest) * inverse).exp())
                .sum();
            let confidence = 1.0 / sum;
            // The first of several largest, as argmax.
            let predicted = logits.iter().position(|&logit| f64::from(logit) == largest);
            let right = f64::from(u8::from(predicted == Some(label)));
            // Bin m is ((m − 1)/15, m/15].
            let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            gaps[bin] += right - confidence;
        }
        gaps.iter().map(|gap| gap.abs()).sum::<f64>() / self.labels.len() as f64
    }
}

fn largest(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(most)
}

/// A temperature and its effect.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FittedTemperature {
    /// More than 0.
    pub(super) temperature: f64,
    /// Loss and calibration error before and after, on the images that it was fitted on.
    pub(super) calibration: TemperatureFit,
}

/// Fits the temperature to logits of the validation images, which must be finite.
pub(super) fn fit(logits: &LabelledLogits) -> FittedTemperature {
    let inverse = inverse(logits);
    FittedTemperature {
        temperature: 1.0 / inverse,
        calibration: TemperatureFit {
            images: logits.labels.len() as u64,
            bins: BINS as u32,
            loss_before: logits.loss(1.0),
            loss: logits.loss(inverse),
            error_before: logits.error(1.0),
            error: logits.error(inverse),
            test_loss: None,
        },
    }
}

impl FittedTemperature {
    /// Adds the loss on the test images with this temperature.
    pub(super) fn tested(mut self, logits: &LabelledLogits) -> Self {
        self.calibration.test_loss = Some(logits.loss(1.0 / self.temperature));
        self
    }
}

/// The inverse temperature of the lowest loss, from 1/[`MAX_TEMPERATURE`] to [`MAX_TEMPERATURE`].
fn inverse(logits: &LabelledLogits) -> f64 {
    let (mut low, mut high) = (1.0 / MAX_TEMPERATURE, MAX_TEMPERATURE);
    if logits.slope(low).0 >= 0.0 {
        return low;
    }
    if logits.slope(high).0 <= 0.0 {
        return high;
    }
    let mut inverse = 1.0;
    for _ in 0..MAX_ITERATIONS {
        let (slope, curvature) = logits.slope(inverse);
        if slope < 0.0 {
            low = inverse;
        } else {
            high = inverse;
        }
        let newton = inverse - slope / curvature;
        // With a curvature of 0 this is NaN or infinite, which is outside of the bracket.
        let next = if newton > low && newton < high {
            newton
        } else {
            (low * high).sqrt()
        };
        let moved = (next - inverse).abs();
        inverse = next;
        if moved <= 1e-12 * inverse {
            break;
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::super::mt19937::Mt19937;
    use super::*;

    /// Random logits, and labels drawn from the softmax of the logits divided by `temperature`.
    fn drawn(images: usize, classes: usize, temperature: f64, spread: f32) -> LabelledLogits {
        let mut generator = Mt19937::new(3);
        let mut answers = LabelledLogits {
            logits: Vec::new(),
            labels: Vec::new(),
            classes,
        };
        for _ in 0..images {
            let logits: Vec<f32> = (0..classes)
                .map(|_| generator.uniform(-spread, spread))
                .collect();
            let weights: Vec<f64> = logits
                .iter()
                .map(|&logit| (f64::from(logit) / temperature).exp())
                .collect();
            let mut left = f64::from(generator.uniform(0.0, 1.0)) * weights.iter().sum::<f64>();
            let label = weights.iter().position(|weight| {
                left -= weight;
                left < 0.0
            });
            answers.labels.push(label.unwrap_or(classes - 1) as u16);
            answers.logits.extend(logits);
        }
        answers
    }

    #[test]
    fn the_fit_finds_the_temperature_that_the_labels_were_drawn_with() {
        for temperature in [0.3, 1.0, 2.5, 7.0] {
            let answers = drawn(20_000, 10, temperature, 6.0);
            let fitted = fit(&answers);
            let off = (fitted.temperature / temperature).ln().abs();
            assert!(off < 0.05, "{temperature}: {}", fitted.temperature);
            let TemperatureFit {
                loss_before,
                loss,
                error,
                ..
            } = fitted.calibration;
            assert!(loss <= loss_before, "{temperature}");
            assert!(error < 0.02, "{temperature}: {error}");
        }
    }

    #[test]
    fn no_other_temperature_has_a_lower_loss() {
        for (images, classes, temperature, spread) in [
            (1, 2, 1.0, 1.0),
            (7, 3, 4.0, 1e-3),
            (50, 10, 0.2, 300.0),
            (300, 4, 9.0, 20.0),
        ] {
            let answers = drawn(images, classes, temperature, spread);
            let inverse = inverse(&answers);
            let lowest = answers.loss(inverse);
            for step in 0..=400 {
                let other = MAX_TEMPERATURE.powf(f64::from(step) / 200.0 - 1.0);
                assert!(
                    answers.loss(other) >= lowest - 1e-9,
                    "{images} images: {other} is better than {inverse}"
                );
            }
        }
    }

    #[test]
    fn logits_without_an_error_end_at_the_bound() {
        let answers = LabelledLogits {
            logits: vec![5.0, -5.0, -4.0, 4.0],
            labels: vec![0, 1],
            classes: 2,
        };
        let fitted = fit(&answers);
        assert_eq!(fitted.temperature, 1.0 / MAX_TEMPERATURE);
        assert!(fitted.calibration.loss < 1e-30);
        let wrong = LabelledLogits {
            labels: vec![1, 0],
            ..answers
        };
        assert_eq!(fit(&wrong).temperature, MAX_TEMPERATURE);
    }

    #[test]
    fn the_calibration_error_matches_its_computation_by_hand() {
        // Confidences 0.9, 0.9 (one bin, one of two right) and 0.6 (right): (|0.5 − 0.9|·2 + 0.4) /
        // 3.
        let logits = |confidence: f64| vec![(confidence / (1.0 - confidence)).ln() as f32, 0.0];
        let answers = LabelledLogits {
            logits: [logits(0.9), logits(0.9), logits(0.6)].concat(),
            labels: vec![0, 1, 0],
            classes: 2,
        };
        assert!((answers.error(1.0) - 1.2 / 3.0).abs() < 1e-6);
        let tested = fit(&answers).tested(&answers);
        assert_eq!(tested.calibration.test_loss, Some(tested.calibration.loss));
    }
}
