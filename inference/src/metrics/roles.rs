//! Metrics of the predictions of one role of a model: images, labels, times and failures.
//!
//! The response time has three histograms: the wait in the queue, the network alone, and the whole.

use super::{
    labels::{LABELS, RoleLabel, label_name},
    statistics::Statistics,
};
use metrics::{Counter, Histogram, counter, histogram};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The label `method`: a method that classifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `digits.v1.InferenceService/Predict`.
    Predict,
    /// `digits.v1.InferenceService/PredictStream`, per request of the stream.
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

/// The label `reason` of a request that failed after its checkpoint was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// Refused by the queue.
    Full,
    /// Deadline exceeded.
    Overdue,
    /// A fault of the engine.
    Failed,
}

/// Handles of one role of one model.
pub struct RoleMetrics {
    /// Seconds that a request waited in the queue.
    wait: Histogram,
    /// Seconds of the network alone, per request.
    compute: Histogram,
    /// Those of the model; of a shadow, its own.
    statistics: Arc<Statistics>,
    /// Images classified.
    pub images: Counter,
    /// Probability of the most probable label.
    pub confidence: Histogram,
    /// Images by predicted label; the last one is `other` if there are more than 64.
    predictions: Vec<Counter>,
    /// Responses by method.
    answers: [Answers; Method::ALL.len()],
}

/// Requests of one method whose checkpoint was chosen.
struct Answers {
    /// Seconds from the decoded request to its response.
    duration: Histogram,
    full: Counter,
    overdue: Counter,
    failed: Counter,
}

impl RoleMetrics {
    /// Handles for a role of a model and a number of classes.
    #[must_use]
    pub fn new(model: &Arc<str>, role: RoleLabel, classes: usize) -> Self {
        let name = role.as_str();
        let prediction = |index: usize| counter!("digits_inference_predictions_total", "model" => model.clone(), "role" => name, "label" => label_name(index));
        // A shadow neither waits nor answers, so it has no series of either.
        let wait = match role {
            RoleLabel::Shadow => Histogram::noop(),
            RoleLabel::Primary | RoleLabel::Canary => {
                histogram!("digits_inference_queue_wait_duration_seconds", "model" => model.clone(), "role" => name)
            }
        };
        Self {
            wait,
            statistics: Arc::default(),
            compute: histogram!("digits_inference_compute_duration_seconds", "model" => model.clone(), "role" => name),
            images: counter!("digits_inference_images_total", "model" => model.clone(), "role" => name),
            confidence: histogram!("digits_inference_confidence_ratio", "model" => model.clone(), "role" => name),
            predictions: (0..classes.min(LABELS + 1)).map(prediction).collect(),
            answers: Method::ALL.map(|method| Answers::new(model, role, method)),
        }
    }

    /// Counts in `statistics` as well.
    #[must_use]
    pub fn with_statistics(self, statistics: Arc<Statistics>) -> Self {
        Self { statistics, ..self }
    }

    /// Records the wait of a request in the queue.
    pub fn waited(&self, duration: Duration) {
        self.wait.record(duration.as_secs_f64());
        self.statistics.waited(duration);
    }

    /// Records the time of the network alone for a request.
    pub fn computed(&self, duration: Duration) {
        self.compute.record(duration.as_secs_f64());
        self.statistics.computed(duration);
    }

    /// Counts an image by its predicted label.
    pub fn predicted(&self, label_index: usize) {
        if let Some(counter) = self.predictions.get(label_index.min(LABELS)) {
            counter.increment(1);
        }
    }

    /// Records the response to a request for `images` images that was decoded at `since`.
    pub fn answered(&self, method: Method, since: Instant, images: usize) {
        let now = Instant::now();
        let duration = now.saturating_duration_since(since);
        let answers = &self.answers[method as usize];
        answers.duration.record(duration.as_secs_f64());
        self.statistics.answered(images, now, duration);
    }

    /// Counts a request that failed.
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
    fn new(model: &Arc<str>, role: RoleLabel, method: Method) -> Self {
        if role == RoleLabel::Shadow {
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
