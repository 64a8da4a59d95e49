//! The metrics of the inference service; `deploy/METRICS.md` has the meaning of each.
//!
//! Handles are looked up when a model or a checkpoint is loaded and kept, never per request. The
//! metrics of requests (`…_grpc_…`) belong to `digits_server`.
//!
//! A registered series stays until the process ends. So the series of a role that no checkpoint has
//! any more go to 0, and those that name a checkpoint are not registered at all (see
//! [`crate::model_info`]).

mod drift;
mod help;
mod labels;
mod model;
mod outcomes;
mod pictures;
mod queue;
mod roles;
mod served;
mod statistics;

pub use drift::{DriftGauges, DriftValues};
pub use labels::RoleLabel;
pub(crate) use labels::{LABELS, label_name};
pub use model::{AnswerMetrics, ModelMetrics};
pub use outcomes::{Live, LiveAccuracy, Outcome, Outcomes};
pub use pictures::PictureMetrics;
pub use queue::QueueMetrics;
pub use roles::{FailureReason, Method, RoleMetrics};
pub use served::{ServedGauges, ServedValues};
pub use statistics::{Statistics, Total};

use digits_telemetry::metrics::{DURATION_BUCKETS, InstallError, RATIO_BUCKETS, Recorder};
use metrics::gauge;

/// Buckets for times of the network alone, from below a microsecond.
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

/// Buckets for response times. Few, because each model, method and role has a histogram.
const ANSWER_BUCKETS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.5, 2.5,
];

/// Buckets for the requests of a batch.
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

/// gRPC methods with a metric label of their own.
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
    "/inference.GRPCInferenceService/ModelConfig",
    "/inference.GRPCInferenceService/ModelStatistics",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
];

/// Prefix of all metrics.
pub const PREFIX: &str = "digits_inference";

/// Installs the recorder of this process; call it once, before [`describe`].
///
/// # Errors
/// [`InstallError`] when there is one already.
pub fn install() -> Result<Recorder, InstallError> {
    digits_telemetry::metrics::install(BUCKETS)
}

/// Describes every metric and sets the constant ones. Call it once, after the recorder was
/// installed.
pub fn describe() {
    help::describe();
    gauge!("digits_inference_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}
