//! What the predictions of one model count, by the part that its checkpoint has: images, labels, times and failures.
//!
//! The time of an answer has three histograms: the wait for its turn, the network alone, and the whole.

use crate::drift::Tally;
use digits_checkpoint::record::Role;
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use std::{sync::Arc, time::Instant};

/// Labels from this index on are counted as `other`.
pub(crate) const LABELS: usize = 64;

/// A method that classifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `digits.v1.InferenceService/Predict`.
    Predict,
    /// `digits.v1.InferenceService/PredictStream`: each request of a stream by itself.
    PredictStream,
    /// `inference.GRPCInferenceService/ModelInfer`, over gRPC or HTTP.
    ModelInfer,
}

impl Method {
    /// In the order of their numbers.
    const ALL: [Self; 3] = [Self::Predict, Self::PredictStream, Self::ModelInfer];

    fn as_str(self) -> &'static str {
        match self {
            Self::Predict => "Predict",
            Self::PredictStream => "PredictStream",
            Self::ModelInfer => "ModelInfer",
        }
    }
}

/// Why a request failed after its route was selected, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// The queue was full.
    Full,
    /// The deadline passed before it was computed.
    Overdue,
    /// The engine panicked.
    Failed,
}

/// Handles of one part of one model.
pub struct RoleMetrics {
    /// Seconds that a request waited in the queue.
    pub wait: Histogram,
    /// Seconds of the network alone, per request.
    pub compute: Histogram,
    /// Images.
    pub images: Counter,
    /// Probability of the most probable label.
    pub confidence: Histogram,
    /// What is compared with the training set.
    pub tally: Tally,
    /// By label; the last one is `other` where there are too many.
    predictions: Vec<Counter>,
    /// By method.
    answers: [Answers; Method::ALL.len()],
}

/// How requests of one method ended, once it was known who answers them.
struct Answers {
    /// Seconds from the decoded request to its answer.
    duration: Histogram,
    full: Counter,
    overdue: Counter,
    failed: Counter,
}

impl RoleMetrics {
    /// Handles for a part of a model and a number of classes.
    #[must_use]
    pub fn new(model: &Arc<str>, role: Role, classes: usize) -> Self {
        let name = role.as_str();
        let prediction = |index: usize| counter!("digits_inference_predictions_total", "model" => model.clone(), "role" => name, "label" => label_name(index));
        // Shadows compute along: they neither wait nor answer, and series that stay at 0 would say that they might.
        let wait = match role {
            Role::Shadow => Histogram::noop(),
            Role::Primary | Role::Canary => {
                histogram!("digits_inference_queue_wait_duration_seconds", "model" => model.clone(), "role" => name)
            }
        };
        Self {
            wait,
            compute: histogram!("digits_inference_compute_duration_seconds", "model" => model.clone(), "role" => name),
            images: counter!("digits_inference_images_total", "model" => model.clone(), "role" => name),
            confidence: histogram!("digits_inference_confidence_ratio", "model" => model.clone(), "role" => name),
            tally: Tally::new(classes),
            predictions: (0..classes.min(LABELS + 1)).map(prediction).collect(),
            answers: Method::ALL.map(|method| Answers::new(model, role, method)),
        }
    }

    /// Counts an image that was given a label.
    pub fn predicted(&self, label_index: usize) {
        if let Some(counter) = self.predictions.get(label_index.min(LABELS)) {
            counter.increment(1);
        }
    }

    /// Counts an answer to a request that began at `since`.
    pub fn answered(&self, method: Method, since: Instant) {
        let answers = &self.answers[method as usize];
        answers.duration.record(since.elapsed().as_secs_f64());
    }

    /// Counts a request that got no answer from this part.
    pub fn failed(&self, method: Method, reason: FailureReason) {
        let answers = &self.answers[method as usize];
        let counter = match reason {
            FailureReason::Full => &answers.full,
            FailureReason::Overdue => &answers.overdue,
            FailureReason::Failed => &answers.failed,
        };
        counter.increment(1);
    }
}

impl Answers {
    fn new(model: &Arc<str>, role: Role, method: Method) -> Self {
        if role == Role::Shadow {
            return Self {
                duration: Histogram::noop(),
                full: Counter::noop(),
                overdue: Counter::noop(),
                failed: Counter::noop(),
            };
        }
        let (role, method) = (role.as_str(), method.as_str());
        let failure = |reason: &'static str| counter!("digits_inference_answer_failures_total", "model" => model.clone(), "method" => method, "role" => role, "reason" => reason);
        Self {
            duration: histogram!("digits_inference_answer_duration_seconds", "model" => model.clone(), "method" => method, "role" => role),
            full: failure("full"),
            overdue: failure("overdue"),
            failed: failure("failed"),
        }
    }
}

/// What a label is called in a series, by its index.
pub(crate) fn label_name(index: usize) -> String {
    if index < LABELS {
        index.to_string()
    } else {
        "other".to_owned()
    }
}

pub(super) fn describe() {
    for (name, text) in [
        ("digits_inference_images_total", "images classified"),
        (
            "digits_inference_predictions_total",
            "images by the label that was given",
        ),
        (
            "digits_inference_answer_failures_total",
            "requests that got no answer, of those for which it was known who answers, by reason",
        ),
    ] {
        describe_counter!(name, Unit::Count, text);
    }
    for (name, unit, text) in [
        (
            "digits_inference_answer_duration_seconds",
            Unit::Seconds,
            "from the decoded request to its answer, by who answered; of a stream for each request",
        ),
        (
            "digits_inference_queue_wait_duration_seconds",
            Unit::Seconds,
            "time that a request waited in the queue; what is computed in place never does",
        ),
        (
            "digits_inference_compute_duration_seconds",
            Unit::Seconds,
            "time of the network alone, per request; of its whole batch where it had company",
        ),
        (
            "digits_inference_confidence_ratio",
            Unit::Count,
            "probability of the most probable label",
        ),
    ] {
        describe_histogram!(name, unit, text);
    }
}
