//! The metrics of the inference service, declared once; `deploy/METRICS.md` says what each means.
//!
//! Handles are looked up when a model or a checkpoint is loaded and kept, never per request. The requests' own metrics
//! (`…_grpc_…`) belong to the server crate.
//!
//! A registered series cannot be taken back. So the series of a role that nothing has any more go to 0, and those that name
//! a checkpoint are not registered at all (see [`crate::model_info`]).

mod drift;
mod outcomes;
mod queue;
mod roles;
mod served;

pub use drift::DriftGauges;
pub use outcomes::{Live, Outcome, Outcomes};
pub use queue::QueueMetrics;
pub use roles::{FailureReason, Method, RoleMetrics};
pub(crate) use roles::{LABELS, label_name};
pub use served::ServedGauges;

use digits_checkpoint::{RefusalReason, record::Role};
use digits_telemetry::metrics::{DURATION_BUCKETS, InstallError, RATIO_BUCKETS, Recorder};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use std::sync::Arc;

/// Times of the network alone begin below a microsecond.
const COMPUTE_BUCKETS: &[f64] = &[
    0.000_000_5,
    0.000_001,
    0.000_002_5,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    10.0,
];

/// Times of whole answers. Few: there is a histogram for each model, method and part.
const ANSWER_BUCKETS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.5, 2.5,
];

/// Requests that are computed together.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Buckets of each histogram, for [`digits_telemetry::metrics::install`].
pub const BUCKETS: &[(&str, &[f64])] = &[
    (
        "digits_inference_grpc_request_duration_seconds",
        DURATION_BUCKETS,
    ),
    ("digits_inference_compute_duration_seconds", COMPUTE_BUCKETS),
    (
        "digits_inference_queue_wait_duration_seconds",
        COMPUTE_BUCKETS,
    ),
    ("digits_inference_answer_duration_seconds", ANSWER_BUCKETS),
    ("digits_inference_queue_batch_requests", BATCH_BUCKETS),
    ("digits_inference_confidence_ratio", RATIO_BUCKETS),
    ("digits_inference_reload_duration_seconds", DURATION_BUCKETS),
    (
        "digits_inference_publish_to_serve_seconds",
        DURATION_BUCKETS,
    ),
];

/// gRPC methods that are counted by name.
pub const METHODS: &[&str] = &[
    "/digits.v1.InferenceService/Predict",
    "/digits.v1.InferenceService/PredictStream",
    "/digits.v1.InferenceService/GetModel",
    "/digits.v1.InferenceService/ReportOutcome",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/inference.GRPCInferenceService/ModelReady",
    "/inference.GRPCInferenceService/ServerMetadata",
    "/inference.GRPCInferenceService/ModelMetadata",
    "/inference.GRPCInferenceService/ModelInfer",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
];

/// Prefix of the requests' metrics.
pub const PREFIX: &str = "digits_inference";

/// Installs the recorder of this process; call it once, before [`describe`].
///
/// # Errors
/// [`InstallError`] when there is one already.
pub fn install() -> Result<Recorder, InstallError> {
    digits_telemetry::metrics::install(BUCKETS)
}

/// Describes every metric and sets what never changes. Call it once, after the recorder was installed.
pub fn describe() {
    let counters = [
        ("digits_inference_no_label_total", "images without a label"),
        ("digits_inference_reloads_total", "loads by result"),
        (
            "digits_inference_refusals_total",
            "checkpoints that stayed out, by reason",
        ),
        (
            "digits_inference_shadow_comparisons_total",
            "images that a shadow computed too, by whether it gave the same label",
        ),
        (
            "digits_inference_shadow_dropped_total",
            "requests that no shadow computed, as it had too much to do",
        ),
    ];
    for (name, text) in counters {
        describe_counter!(name, Unit::Count, text);
    }
    let gauges = [
        ("digits_inference_build_info", Unit::Count, "always 1"),
        (
            "digits_inference_model_sequence",
            Unit::Count,
            "sequence that is served: the version of the model",
        ),
        (
            "digits_inference_head_sequence",
            Unit::Count,
            "newest sequence seen on the storage",
        ),
        (
            "digits_inference_behind_head",
            Unit::Count,
            "records between the two",
        ),
        (
            "digits_inference_pinned_sequence",
            Unit::Count,
            "sequence that --pin keeps this replica at; 0 where it follows the newest",
        ),
        (
            "digits_inference_checkpoint_created_timestamp_seconds",
            Unit::Seconds,
            "when the served checkpoint was made",
        ),
        (
            "digits_inference_checkpoint_age_seconds",
            Unit::Seconds,
            "seconds since then",
        ),
        (
            "digits_inference_checkpoint_step",
            Unit::Count,
            "training steps of the served checkpoint",
        ),
        (
            "digits_inference_checkpoint_validation_loss",
            Unit::Count,
            "its mean cross-entropy over validation images, in nats",
        ),
        (
            "digits_inference_checkpoint_validation_accuracy_ratio",
            Unit::Count,
            "its share of validation images that were right",
        ),
        (
            "digits_inference_image_duration_seconds",
            Unit::Seconds,
            "an image through the engine, as measured when the checkpoint was loaded",
        ),
        (
            "digits_inference_storage_read_timestamp_seconds",
            Unit::Seconds,
            "when the storage was last read without an error",
        ),
    ];
    for (name, unit, text) in gauges {
        describe_gauge!(name, unit, text);
    }
    let histograms = [
        (
            "digits_inference_reload_duration_seconds",
            Unit::Seconds,
            "from seeing a record to serving it",
        ),
        (
            "digits_inference_publish_to_serve_seconds",
            Unit::Seconds,
            "from a record's time to serving it, of records that came while the process followed the storage",
        ),
    ];
    for (name, unit, text) in histograms {
        describe_histogram!(name, unit, text);
    }
    outcomes::describe();
    drift::describe();
    queue::describe();
    roles::describe();
    gauge!("digits_inference_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Images of one model that got no label, and what its shadows made of them.
pub struct AnswerMetrics {
    /// No ink.
    pub blank: Counter,
    /// Several digits.
    pub several_digits: Counter,
    /// Too improbable.
    pub unsure: Counter,
    /// A shadow gave the same label as who answered.
    pub shadow_same: Counter,
    /// Another one.
    pub shadow_different: Counter,
    /// Requests that were not given to the shadows.
    pub shadow_dropped: Counter,
}

impl AnswerMetrics {
    fn new(model: &Arc<str>) -> Self {
        let no_label = |verdict: &'static str| counter!("digits_inference_no_label_total", "model" => model.clone(), "verdict" => verdict);
        let shadow = |result: &'static str| counter!("digits_inference_shadow_comparisons_total", "model" => model.clone(), "result" => result);
        Self {
            blank: no_label("blank"),
            several_digits: no_label("several_digits"),
            unsure: no_label("unsure"),
            shadow_same: shadow("same"),
            shadow_different: shadow("different"),
            shadow_dropped: counter!("digits_inference_shadow_dropped_total", "model" => model.clone()),
        }
    }
}

/// What following the storage counts, for one model.
pub struct ModelMetrics {
    model: Arc<str>,
    /// Checkpoints that serve now.
    pub loaded: Counter,
    /// Checkpoints that stayed out.
    pub refused: Counter,
    /// Reads of the storage that failed and are tried again.
    pub failed: Counter,
    refusals: Vec<Counter>,
    /// From seeing a record to serving it.
    pub reload_duration: Histogram,
    /// From the time of a record that came while the storage was followed to serving it.
    pub publish_to_serve: Histogram,
    /// Newest sequence on the storage.
    pub head_sequence: Gauge,
    /// Records behind it.
    pub behind_head: Gauge,
    /// The record that is kept to; 0 for the newest.
    pub pinned_sequence: Gauge,
    /// Unix time of the last good read.
    pub storage_read: Gauge,
}

impl ModelMetrics {
    /// Looks the handles up.
    #[must_use]
    pub fn new(model: &str) -> Self {
        let model: Arc<str> = model.into();
        let gauge = |name: &'static str| gauge!(name, "model" => model.clone());
        let reloads = |result: &'static str| counter!("digits_inference_reloads_total", "model" => model.clone(), "result" => result);
        let refusal = |reason: RefusalReason| counter!("digits_inference_refusals_total", "model" => model.clone(), "reason" => reason.as_str());
        Self {
            loaded: reloads("loaded"),
            refused: reloads("refused"),
            failed: reloads("failed"),
            refusals: RefusalReason::ALL.into_iter().map(refusal).collect(),
            reload_duration: histogram!("digits_inference_reload_duration_seconds", "model" => model.clone()),
            publish_to_serve: histogram!("digits_inference_publish_to_serve_seconds", "model" => model.clone()),
            head_sequence: gauge("digits_inference_head_sequence"),
            behind_head: gauge("digits_inference_behind_head"),
            pinned_sequence: gauge("digits_inference_pinned_sequence"),
            storage_read: gauge("digits_inference_storage_read_timestamp_seconds"),
            model,
        }
    }

    /// Counts a refusal.
    pub fn refusal(&self, reason: RefusalReason) {
        self.refused.increment(1);
        let index = RefusalReason::ALL.iter().position(|&one| one == reason);
        if let Some(counter) = index.and_then(|index| self.refusals.get(index)) {
            counter.increment(1);
        }
    }

    /// Gauges of a checkpoint that is about to be served.
    #[must_use]
    pub fn served(&self, role: Role) -> ServedGauges {
        ServedGauges::new(&self.model, role)
    }

    /// What predictions of a checkpoint that is about to be served count; it has so many classes.
    #[must_use]
    pub fn role(&self, role: Role, classes: usize) -> RoleMetrics {
        RoleMetrics::new(&self.model, role, classes)
    }

    /// Images of the model without a label, and comparisons of its shadows.
    #[must_use]
    pub fn answers(&self) -> AnswerMetrics {
        AnswerMetrics::new(&self.model)
    }

    /// Reported outcomes of a checkpoint that is about to be served.
    #[must_use]
    pub fn live(&self, role: Role) -> Live {
        Live::new(&self.model, role)
    }

    /// Reported outcomes of the model.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        Outcomes::new(self.model.clone())
    }
}

/// Gauges of a model in a part, by name.
fn gauges(model: &Arc<str>, role: Role) -> impl Fn(&'static str) -> Gauge {
    move |name| gauge!(name, "model" => model.clone(), "role" => role.as_str())
}
