//! Evaluates a served model on a labelled set, through `Predict`: accuracy, loss and confusion
//! matrix.
//!
//! The losses are computed here, in float64, from the logits as the network gave them (before the
//! model's temperature), so that they can be compared with what the trainer measured. The loss of
//! the probabilities in the responses, after the temperature, is the trainer's calibrated test
//! loss.

use crate::{error::Error, render::Confusion};
use bytes::Bytes;
use digits_client::{Error as ClientError, InferenceClient, Service};
use digits_dataset::LabelledImages;
use digits_proto::v1::{PredictRequest, PredictResponse, predict_request::Images};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::time::{Duration, Instant};

/// Options of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Name of the model; empty for the server's default.
    pub model: String,
    /// Images per request, at least 1.
    pub images_per_request: usize,
    /// Requests in flight at a time, at least 1.
    pub in_flight: usize,
    /// Images per batch of [`Evaluation::loss_batch_mean`], at least 1.
    pub loss_batch: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            model: String::new(),
            images_per_request: 256,
            in_flight: 4,
            loss_batch: 64,
        }
    }
}

/// A version of the model that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The checkpoint.
    pub checkpoint_id: String,
    /// Its sequence.
    pub sequence: u64,
    /// Images that it answered.
    pub images: u64,
}

/// Accuracy, loss and confusion of a served model on a labelled set.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Images.
    pub images: u64,
    /// Images whose predicted label was the right one.
    pub correct: u64,
    /// Mean cross-entropy over images, in nats.
    pub loss: f64,
    /// Mean over batches of each batch's mean cross-entropy, in nats: what the notebook prints.
    pub loss_batch_mean: f64,
    /// Images per batch of that mean.
    pub loss_batch: usize,
    /// Mean over images of −ln of the right label's probability in the response, in nats: the loss
    /// with the model's temperature. `None` where a response had no probabilities.
    pub loss_served: Option<f64>,
    /// Counts by true and predicted label.
    pub confusion: Confusion,
    /// The predicted label of each image, in order; `None` where none was given.
    pub predicted: Vec<Option<u32>>,
    /// The versions that answered, in order of their first answer.
    pub versions: Vec<Version>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl Evaluation {
    /// correct / images, from 0 to 1.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }

    /// Images per second, from the first request to the last answer.
    #[must_use]
    pub fn images_per_second(&self) -> f64 {
        self.images as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Sends every image of `set` through `Predict`, several requests at a time, and sums up the
/// responses in the order of the images. `on_progress` receives the number of images answered so
/// far.
///
/// # Errors
/// [`Error::Client`] for the first request that fails or whose response does not fit, and
/// [`Error::Input`] for an empty set.
pub async fn evaluate(
    client: &InferenceClient,
    set: &LabelledImages,
    options: &Options,
    mut on_progress: impl FnMut(u64),
) -> Result<Evaluation, Error> {
    let size = set.images.height * set.images.width;
    let step = options.images_per_request.max(1);
    if set.labels.is_empty() || size == 0 {
        return Err(Error::input("the set", "has no images"));
    }
    let pixels = Bytes::copy_from_slice(&set.images.pixels);
    let started = Instant::now();
    let mut answers = stream::iter(set.labels.chunks(step).enumerate().map(|(index, labels)| {
        let start = index * step * size;
        let request = PredictRequest {
            model: options.model.clone(),
            images: Some(Images::Pixels(
                pixels.slice(start..start + labels.len() * size),
            )),
            want_logits: true,
            ..Default::default()
        };
        async move { Ok::<_, Error>((labels, client.predict(request).await?)) }
    }))
    .buffered(options.in_flight.max(1));
    let mut sums = Sums::default();
    while let Some((labels, answer)) = answers.try_next().await? {
        sums.add(labels, &answer)?;
        on_progress(sums.losses.len() as u64);
    }
    Ok(sums.finish(options.loss_batch.max(1), started.elapsed()))
}

/// Sums over the responses so far.
#[derive(Default)]
struct Sums {
    correct: u64,
    losses: Vec<f64>,
    /// Losses of the returned probabilities, where there are any.
    losses_served: Vec<f64>,
    predicted: Vec<Option<u32>>,
    confusion: Option<Confusion>,
    versions: Vec<Version>,
}

impl Sums {
    fn add(&mut self, labels: &[u16], answer: &PredictResponse) -> Result<(), Error> {
        let unfit = |reason: String| {
            Error::from(ClientError::Answer {
                service: Service::Inference,
                reason,
            })
        };
        if answer.predictions.len() != labels.len() {
            let count = answer.predictions.len();
            return Err(unfit(format!(
                "{count} predictions for {} images",
                labels.len()
            )));
        }
        for (&label, prediction) in labels.iter().zip(&answer.predictions) {
            let label = usize::from(label);
            let classes = prediction.logits.len();
            if label >= classes {
                let reason = format!("{classes} logits, which leaves out label {label}");
                return Err(unfit(reason));
            }
            self.losses.push(cross_entropy(&prediction.logits, label));
            if let Some(&probability) = prediction.probabilities.get(label) {
                // A probability too small for single precision is sent as 0.
                let probability = f64::from(probability.max(f32::MIN_POSITIVE));
                self.losses_served.push(-probability.ln());
            }
            self.predicted.push(prediction.label_index);
            let confusion = self
                .confusion
                .get_or_insert_with(|| Confusion::new(classes));
            if let Some(predicted) = prediction.label_index {
                confusion.add(label, predicted as usize);
                self.correct += u64::from(predicted as usize == label);
            }
        }
        self.note_version(answer, labels.len() as u64);
        Ok(())
    }

    fn note_version(&mut self, answer: &PredictResponse, images: u64) {
        let served = answer.served_by.clone().unwrap_or_default();
        let known = self.versions.iter_mut().find(|version| {
            version.checkpoint_id == served.checkpoint_id && version.sequence == served.sequence
        });
        match known {
            Some(version) => version.images += images,
            None => self.versions.push(Version {
                checkpoint_id: served.checkpoint_id,
                sequence: served.sequence,
                images,
            }),
        }
    }

    fn finish(self, loss_batch: usize, elapsed: Duration) -> Evaluation {
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len().max(1) as f64;
        let batches: Vec<f64> = self.losses.chunks(loss_batch).map(mean).collect();
        Evaluation {
            images: self.losses.len() as u64,
            correct: self.correct,
            loss: mean(&self.losses),
            loss_batch_mean: mean(&batches),
            loss_batch,
            loss_served: (self.losses_served.len() == self.losses.len())
                .then(|| mean(&self.losses_served)),
            confusion: self.confusion.unwrap_or_else(|| Confusion::new(0)),
            predicted: self.predicted,
            versions: self.versions,
            elapsed,
        }
    }
}

/// −log softmax(logits)\[label\], in float64.
fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let largest = logits
        .iter()
        .fold(f64::NEG_INFINITY, |max, &logit| max.max(f64::from(logit)));
    let sum: f64 = logits
        .iter()
        .map(|&logit| (f64::from(logit) - largest).exp())
        .sum();
    sum.ln() + largest - f64::from(logits[label])
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::v1::{Prediction, ServedBy};

    fn answer(sequence: u64, logits: &[[f32; 2]]) -> PredictResponse {
        let predictions = logits.iter().map(|logits| Prediction {
            label_index: Some(u32::from(logits[1] > logits[0])),
            logits: logits.to_vec(),
            ..Default::default()
        });
        PredictResponse {
            predictions: predictions.collect(),
            served_by: Some(ServedBy {
                sequence,
                ..Default::default()
            }),
        }
    }

    #[test]
    fn cross_entropy_matches_a_hand_calculation() {
        // Two equal logits: ln 2. A difference of ln 3: probabilities 3/4 and 1/4.
        let ln3 = 3.0_f64.ln() as f32;
        for (logits, label, expected) in [
            ([0.0, 0.0], 1, 2.0_f64.ln()),
            ([ln3, 0.0], 0, (4.0_f64 / 3.0).ln()),
            ([ln3, 0.0], 1, 4.0_f64.ln()),
            ([1000.0, 0.0], 1, 1000.0),
        ] {
            let loss = cross_entropy(&logits, label);
            assert!((loss - expected).abs() < 1e-7, "{logits:?} {label}: {loss}");
        }
    }

    #[test]
    fn losses_are_averaged_over_images_and_over_batches() {
        let mut sums = Sums::default();
        sums.add(&[0, 0], &answer(1, &[[1000.0, 0.0], [0.0, 6.0]]))
            .expect("fits");
        sums.add(&[1], &answer(2, &[[3.0, 0.0]])).expect("fits");
        let result = sums.finish(2, Duration::from_secs(1));
        // Losses 0, 6.002476 and 3.048587: over images a third of the sum; over batches of two the
        // last one counts double.
        let (second, third) = (
            6.0 + (-6.0_f64).exp().ln_1p(),
            3.0 + (-3.0_f64).exp().ln_1p(),
        );
        assert!((result.loss - (second + third) / 3.0).abs() < 1e-12);
        assert!((result.loss_batch_mean - (second / 2.0 + third) / 2.0).abs() < 1e-12);
        assert_eq!((result.images, result.correct), (3, 1));
        assert_eq!(result.loss_served, None);
        assert_eq!(result.confusion.row(0), [1, 1]);
        assert_eq!(result.confusion.row(1), [1, 0]);
        let versions: Vec<_> = result
            .versions
            .iter()
            .map(|it| (it.sequence, it.images))
            .collect();
        assert_eq!(versions, [(1, 2), (2, 1)]);
    }

    #[test]
    fn the_served_loss_is_that_of_the_probabilities() {
        let mut given = answer(1, &[[1.0, 0.0], [0.0, 1.0]]);
        given.predictions[0].probabilities = vec![0.25, 0.75];
        given.predictions[1].probabilities = vec![0.0, 1.0];
        let mut sums = Sums::default();
        sums.add(&[0, 1], &given).expect("fits");
        let served = sums.finish(2, Duration::ZERO).loss_served.expect("given");
        assert!((served - 4.0_f64.ln() / 2.0).abs() < 1e-12, "{served}");
    }

    #[test]
    fn responses_that_do_not_fit_are_refused() {
        let mut sums = Sums::default();
        assert!(sums.add(&[0, 1], &answer(1, &[[0.0, 1.0]])).is_err());
        assert!(sums.add(&[2], &answer(1, &[[0.0, 1.0]])).is_err());
    }
}
