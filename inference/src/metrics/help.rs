//! HELP texts of the metrics: the wording of `deploy/METRICS.md`, which a test compares.

use metrics::{describe_counter, describe_gauge, describe_histogram};

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram};

const HELP: &[(Kind, &str, &str)] = &[
    (Gauge, "digits_inference_build_info", "always 1"),
    (
        Histogram,
        "digits_inference_answer_duration_seconds",
        "time from the decoded request to its response, by responding role",
    ),
    (
        Counter,
        "digits_inference_answer_failures_total",
        "requests that failed after their checkpoint was chosen",
    ),
    (
        Histogram,
        "digits_inference_compute_duration_seconds",
        "time of the network alone, per request; of the whole batch if the request was batched",
    ),
    (
        Histogram,
        "digits_inference_queue_wait_duration_seconds",
        "time that a request waited in the queue; requests computed inline never wait",
    ),
    (
        Histogram,
        "digits_inference_queue_batch_requests",
        "requests computed together; its count is the number of batches",
    ),
    (
        Gauge,
        "digits_inference_queue_requests",
        "requests that wait in the queue",
    ),
    (
        Gauge,
        "digits_inference_queue_capacity",
        "requests that may wait in the queue (--max-queued)",
    ),
    (
        Gauge,
        "digits_inference_queue_handoff_seconds",
        "cost of handing work to another thread and back, measured at the start",
    ),
    (
        Gauge,
        "digits_inference_pictures_queued_bytes",
        "size of the encoded pictures that wait to be decoded or are decoded (at most --max-queued-picture-bytes)",
    ),
    (
        Gauge,
        "digits_inference_pictures_queued_pixels",
        "pixels of the pictures that wait to be decoded or are decoded, by their headers (at most --max-queued-picture-pixels)",
    ),
    (
        Gauge,
        "digits_inference_pictures_memory_bytes",
        "memory that the pictures being decoded take, by their headers (at most --max-picture-memory)",
    ),
    (
        Gauge,
        "digits_inference_pictures_waiting_since_timestamp_seconds",
        "arrival of the oldest picture that waits to be decoded, in seconds since 1970; 0 while none waits",
    ),
    (
        Counter,
        "digits_inference_pictures_refused_total",
        "requests refused at once because the pictures of other requests left no room, or no time until the deadline",
    ),
    (
        Counter,
        "digits_inference_queue_not_computed_total",
        "requests not computed: full (refused at once), overdue (deadline exceeded), abandoned (client gone)",
    ),
    (
        Gauge,
        "digits_inference_image_duration_seconds",
        "time of one image in the engine, measured at load: alone, or among_many",
    ),
    (
        Counter,
        "digits_inference_images_total",
        "images classified",
    ),
    (
        Counter,
        "digits_inference_predictions_total",
        "images by predicted label; label is an index below 64, or other",
    ),
    (
        Counter,
        "digits_inference_no_label_total",
        "images without a label: blank, several_digits, unsure",
    ),
    (
        Histogram,
        "digits_inference_confidence_ratio",
        "probability of the most probable label",
    ),
    (
        Gauge,
        "digits_inference_model_sequence",
        "sequence that is served: the version of the model",
    ),
    (
        Gauge,
        "digits_inference_head_sequence",
        "newest sequence seen on the storage",
    ),
    (
        Gauge,
        "digits_inference_behind_head",
        "serving records published but not yet applied: head minus served",
    ),
    (
        Gauge,
        "digits_inference_pinned_sequence",
        "sequence that --pin keeps this replica at; 0 if the replica follows the newest",
    ),
    (
        Gauge,
        "digits_inference_checkpoint_created_timestamp_seconds",
        "when the served checkpoint was made",
    ),
    (
        Gauge,
        "digits_inference_checkpoint_age_seconds",
        "seconds since the served checkpoint was made",
    ),
    (
        Gauge,
        "digits_inference_checkpoint_step",
        "training steps of the served checkpoint",
    ),
    (
        Gauge,
        "digits_inference_checkpoint_validation_loss",
        "mean cross-entropy of the served checkpoint over the validation images, in nats",
    ),
    (
        Gauge,
        "digits_inference_checkpoint_validation_accuracy_ratio",
        "share of validation images that the served checkpoint classified correctly",
    ),
    (
        Counter,
        "digits_inference_reloads_total",
        "loads by result: loaded, refused, failed (the storage could not be read; retried)",
    ),
    (
        Counter,
        "digits_inference_refusals_total",
        "checkpoints that were refused, by reason",
    ),
    (
        Histogram,
        "digits_inference_reload_duration_seconds",
        "time from seeing a serving record to serving it",
    ),
    (
        Histogram,
        "digits_inference_publish_to_serve_seconds",
        "time from a serving record's timestamp to serving it",
    ),
    (
        Gauge,
        "digits_inference_serving_record_timestamp_seconds",
        "when the serving record that is served was made, by the clock of its writer; 0 before the first",
    ),
    (
        Gauge,
        "digits_inference_serving_since_timestamp_seconds",
        "when the serving record that is served was applied; 0 before the first",
    ),
    (
        Gauge,
        "digits_inference_storage_read_timestamp_seconds",
        "when the storage was last read without an error",
    ),
    (
        Gauge,
        "digits_inference_storage_fault",
        "1 while the serving log on the storage has the fault: record_gone, stray_record, name_taken, clock; else 0",
    ),
    (
        Counter,
        "digits_inference_log_replacements_total",
        "serving logs that were replaced by another one, which is followed: the storage was swapped or restored",
    ),
    (
        Counter,
        "digits_inference_outcomes_total",
        "reported outcomes: right, wrong",
    ),
    (
        Counter,
        "digits_inference_confusion_total",
        "reported outcomes by predicted and actual label",
    ),
    (
        Gauge,
        "digits_inference_live_accuracy_ratio",
        "accuracy in the serving checkpoint's newest reported outcomes (at most 1,000); NaN if there are none",
    ),
    (
        Gauge,
        "digits_inference_live_outcomes",
        "number of outcomes in the live accuracy",
    ),
    (
        Counter,
        "digits_inference_shadow_comparisons_total",
        "images computed by a shadow too: label as in the response (same), or not (different)",
    ),
    (
        Counter,
        "digits_inference_shadow_dropped_total",
        "requests that no shadow computed, because it was overloaded",
    ),
    (
        Gauge,
        "digits_inference_drift_labels_ratio",
        "distance of the predicted labels' shares from the training set's, 0 to 1",
    ),
    (
        Gauge,
        "digits_inference_drift_confidence_ratio",
        "mean confidence minus the validation accuracy",
    ),
    (
        Gauge,
        "digits_inference_ink_ratio",
        "mean pixel of the classified images",
    ),
    (
        Gauge,
        "digits_inference_training_ink_ratio",
        "mean pixel of the training set",
    ),
];

/// Describes every metric to the recorder.
pub(super) fn describe() {
    for &(kind, name, help) in HELP {
        match kind {
            Counter => describe_counter!(name, help),
            Gauge => describe_gauge!(name, help),
            Histogram => describe_histogram!(name, help),
        }
    }
}
