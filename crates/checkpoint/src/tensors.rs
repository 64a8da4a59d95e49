//! Weights and exam in memory, their safetensors encoding, and the comparison of exam answers.

mod answers;
mod decode;
mod encode;

pub use answers::check_probabilities;
pub(crate) use answers::{Answers, probabilities};
pub(crate) use decode::{decode_exam, decode_model};
pub(crate) use encode::{Served, encode_served_exam};
pub use encode::{encode_exam, encode_model};

use crate::refusal::{Refusal, RefusalReason};

/// A linear layer: y = W x + b, in float32.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Units that come out.
    pub outputs: usize,
    /// Values that go in.
    pub inputs: usize,
    /// `[outputs, inputs]`, row-major.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// Raw images, and the logits that libtorch gave for them on the CPU in float32.
#[derive(Clone, Debug, PartialEq)]
pub struct Exam {
    /// Grey pixels, [images, height × width].
    pub inputs: Vec<u8>,
    /// [images, classes].
    pub logits: Vec<f32>,
    /// Images.
    pub images: usize,
}

/// Tolerance between an answer and the recorded one, as a share of 1 + the largest logit of the
/// image.
const EXAM_TOLERANCE: f32 = 1e-4;

/// Checks `answers`, [images, classes] as an engine gave them for the inputs of `recorded`: each
/// must be within 1e-4 · (1 + max |z|) of the recorded logit, z being the recorded logits of the
/// same image.
///
/// # Errors
/// [`RefusalReason::Exam`], naming the image and class of the first wrong answer.
pub fn check_exam(recorded: &Exam, classes: usize, answers: &[f32]) -> Result<(), Refusal> {
    let refuse = |message| Err(Refusal::new(RefusalReason::Exam, message));
    if classes == 0
        || recorded.images == 0
        || recorded.images.checked_mul(classes) != Some(recorded.logits.len())
    {
        return refuse("the exam has no images, or not one logit per class and image".into());
    }
    if answers.len() != recorded.logits.len() {
        let (given, wanted) = (answers.len(), recorded.logits.len());
        return refuse(format!(
            "the exam was given {given} answers instead of {wanted}"
        ));
    }
    let rows = recorded.logits.chunks_exact(classes);
    for (image, (right, given)) in rows.zip(answers.chunks_exact(classes)).enumerate() {
        let largest = right.iter().fold(0.0_f32, |most, z| most.max(z.abs()));
        let tolerance = EXAM_TOLERANCE * (1.0 + largest);
        for (class, (&right, &given)) in right.iter().zip(given).enumerate() {
            let distance = (given - right).abs();
            // A NaN on either side, or an infinite logit, is no match.
            if distance.is_nan() || distance > tolerance || !tolerance.is_finite() {
                return refuse(format!(
                    "exam image {image}, class {class}: answered {given} where {right} ± {tolerance} is right"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exam(logits: &[f32]) -> Exam {
        Exam {
            inputs: vec![0; logits.len() / 2],
            logits: logits.to_vec(),
            images: logits.len() / 2,
        }
    }

    #[test]
    fn exam_answers_must_be_within_the_tolerance_of_their_image() {
        const NAN: f32 = f32::NAN;
        const INF: f32 = f32::INFINITY;
        let cases: [(&[f32], &[f32], bool); 11] = [
            (&[1.0, -3.0], &[1.0, -3.0], true),
            (&[1.0, -3.0], &[1.00039, -3.00039], true),
            (&[1.0, -3.0], &[1.00041, -3.0], false),
            // The tolerance is that of the image, not of the largest one.
            (&[1.0, 0.0, 900.0, 0.0], &[1.0, 0.01, 900.0, 0.0], false),
            (&[1.0, 0.0, 900.0, 0.0], &[1.0, 0.0, 900.0, 0.01], true),
            (&[1.0, 2.0], &[NAN, 2.0], false),
            (&[NAN, 2.0], &[NAN, 2.0], false),
            (&[INF, 2.0], &[INF, 2.0], false),
            (&[1.0, 2.0], &[1.0], false),
            (&[1.0, 2.0], &[1.0, 2.0, 3.0], false),
            (&[], &[], false),
        ];
        for (right, given, passes) in cases {
            let verdict = check_exam(&exam(right), 2, given);
            assert_eq!(verdict.is_ok(), passes, "{right:?} {given:?}: {verdict:?}");
            if let Err(refusal) = verdict {
                assert_eq!(refusal.reason, RefusalReason::Exam);
            }
        }
    }
}
