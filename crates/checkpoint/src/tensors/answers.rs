//! The answers that users get for the images of an exam: probabilities and labels.
//!
//! They tie `labels` and `temperature` of a manifest to the exam: a manifest with others is refused
//! even where no serving record has its digest.

use super::Exam;
use crate::refusal::{Refusal, RefusalReason};

/// Tolerance between two computations of a probability from the same logits: they differ by the
/// rounding of the exponential alone.
const PROBABILITY_TOLERANCE: f32 = 1e-6;

/// An exam with the answers that users get.
pub(crate) struct Answers {
    pub(crate) exam: Exam,
    /// [images, classes]; `None` in exams that are older than this tensor.
    pub(crate) probabilities: Option<Vec<f32>>,
    /// Names of the classes; `None` in exams that are older than this tensor.
    pub(crate) labels: Option<Vec<String>>,
}

impl Answers {
    /// Checks that a manifest with these labels and this temperature gives the answers.
    pub(crate) fn check(&self, labels: &[String], temperature: f64) -> Result<(), Refusal> {
        if let Some(own) = &self.labels
            && own != labels
        {
            let differing = own.iter().zip(labels).find(|(own, label)| own != label);
            let message = match differing {
                Some((own, label)) => {
                    format!("the manifest has the label {label:?} where the exam has {own:?}")
                }
                None => format!("{} labels where the exam has {}", labels.len(), own.len()),
            };
            return Err(Refusal::new(RefusalReason::Exam, message));
        }
        let Some(recorded) = &self.probabilities else {
            return Ok(());
        };
        let computed = probabilities(&self.exam.logits, labels.len(), temperature);
        check_probabilities(recorded, labels.len(), &computed)
    }
}

/// Softmax of `logits / temperature`, [images, classes], computed in float64.
pub(crate) fn probabilities(logits: &[f32], classes: usize, temperature: f64) -> Vec<f32> {
    let mut probabilities = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(classes) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponential =
            |&logit: &f32| ((f64::from(logit) - f64::from(largest)) / temperature).exp();
        let sum: f64 = row.iter().map(exponential).sum();
        probabilities.extend(row.iter().map(|logit| (exponential(logit) / sum) as f32));
    }
    probabilities
}

/// Checks probabilities, [images, classes] as an engine computed them from the logits of an exam:
/// each must be within 1e-6 of the recorded one.
///
/// # Errors
/// [`RefusalReason::Exam`], naming the image and class of the first wrong one.
pub fn check_probabilities(
    recorded: &[f32],
    classes: usize,
    computed: &[f32],
) -> Result<(), Refusal> {
    let refuse = |message| Err(Refusal::new(RefusalReason::Exam, message));
    if classes == 0 || recorded.len() != computed.len() {
        return refuse(format!(
            "the exam has {} probabilities instead of {}",
            recorded.len(),
            computed.len()
        ));
    }
    for (index, (right, given)) in recorded.iter().zip(computed).enumerate() {
        let distance = (given - right).abs();
        // A NaN is no match.
        if distance.is_nan() || distance > PROBABILITY_TOLERANCE {
            let (image, class) = (index / classes, index % classes);
            return refuse(format!(
                "exam image {image}, class {class}: probability {given} where {right} is right; \
                 the temperature is not the published one"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_bind_labels_and_temperature() {
        let logits = vec![0.0, (3.0_f32).ln()];
        let labels = |names: [&str; 2]| names.map(str::to_owned);
        let answers = Answers {
            probabilities: Some(probabilities(&logits, 2, 1.0)),
            labels: Some(labels(["cat", "dog"]).to_vec()),
            exam: Exam {
                inputs: vec![0],
                logits,
                images: 1,
            },
        };
        assert_eq!(answers.probabilities, Some(vec![0.25, 0.75]));
        for (names, temperature, part) in [
            (["cat", "dog"], 1.0, ""),
            (["cat", "eog"], 1.0, "\"eog\" where the exam has \"dog\""),
            (["dog", "cat"], 1.0, "\"dog\" where the exam has \"cat\""),
            (
                ["cat", "dog"],
                1.0001,
                "the temperature is not the published one",
            ),
            (
                ["cat", "dog"],
                1e-9,
                "the temperature is not the published one",
            ),
        ] {
            match answers.check(&labels(names), temperature) {
                Ok(()) => assert_eq!(part, "", "{names:?} {temperature}"),
                Err(refusal) => {
                    assert!(
                        !part.is_empty() && refusal.message.contains(part),
                        "{refusal}"
                    );
                    assert_eq!(refusal.reason, RefusalReason::Exam);
                }
            }
        }
        // Older exams have neither.
        let older = Answers {
            probabilities: None,
            labels: None,
            ..answers
        };
        assert!(older.check(&labels(["a", "b"]), 7.0).is_ok());
    }

    #[test]
    fn a_probability_that_is_no_number_is_no_match() {
        for (recorded, computed) in [([f32::NAN], [0.5]), ([0.5], [f32::NAN])] {
            assert!(check_probabilities(&recorded, 1, &computed).is_err());
        }
        assert!(check_probabilities(&[], 2, &[0.5]).is_err());
        assert!(check_probabilities(&[0.5], 1, &[0.500_000_5]).is_ok());
    }
}
