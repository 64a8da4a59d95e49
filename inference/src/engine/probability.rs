//! From logits to probabilities.

/// Softmax of `logits / temperature`, computed in float64. Keeps its buffer from image to image.
///
/// A NaN logit gives NaN everywhere; the loader refuses such weights.
#[derive(Clone, Debug)]
pub struct Softmax {
    temperature: f64,
    exponentials: Vec<f64>,
}

impl Softmax {
    /// For this number of classes; `temperature` is more than 0.
    #[must_use]
    pub fn new(temperature: f64, classes: usize) -> Self {
        Self {
            temperature,
            exponentials: Vec::with_capacity(classes),
        }
    }

    /// Computes the probabilities of an image; both slices have the number of classes.
    pub fn of(&mut self, logits: &[f32], probabilities: &mut [f32]) {
        let Self {
            temperature,
            exponentials,
        } = self;
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponential =
            |&logit: &f32| ((f64::from(logit) - f64::from(largest)) / *temperature).exp();
        exponentials.clear();
        exponentials.extend(logits.iter().map(exponential));
        let sum: f64 = exponentials.iter().sum();
        for (probability, exponential) in probabilities.iter_mut().zip(exponentials) {
            *probability = (*exponential / sum) as f32;
        }
    }
}

/// Index of the largest value; the first of equal ones, as PyTorch's argmax does.
#[must_use]
pub fn most_probable(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

/// Indices of the `count` largest values, largest first; equal ones by index.
#[must_use]
pub fn top(values: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    order.truncate(count);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_gives_known_values() {
        let mut probabilities = [0.0; 3];
        let mut plain = Softmax::new(1.0, 3);
        plain.of(&[0.0, (2.0_f32).ln(), (5.0_f32).ln()], &mut probabilities);
        for (got, expected) in probabilities.iter().zip([0.125, 0.25, 0.625]) {
            assert!((got - expected).abs() < 1e-6, "{probabilities:?}");
        }
        // Large logits must not overflow, and a high temperature flattens.
        plain.of(&[1e4, 0.0, -1e4], &mut probabilities);
        assert_eq!(probabilities, [1.0, 0.0, 0.0]);
        Softmax::new(1e9, 3).of(&[3.0, 1.0, 2.0], &mut probabilities);
        assert!(probabilities.iter().all(|p| (p - 1.0 / 3.0).abs() < 1e-6));
    }

    #[test]
    fn equal_values_are_ordered_by_index() {
        assert_eq!(most_probable(&[0.1, 0.4, 0.4]), 1);
        assert_eq!(top(&[0.1, 0.4, 0.4, 0.05], 3), [1, 2, 0]);
        assert_eq!(top(&[0.5, 0.5], 9), [0, 1]);
    }
}
