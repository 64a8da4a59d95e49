//! Gauges of [`crate::drift`]: how what is asked differs from what was learnt.

use super::gauges;
use crate::drift::Drift;
use digits_checkpoint::record::Role;
use metrics::{Gauge, Unit, describe_gauge};
use std::sync::Arc;

const LABELS: &str = "digits_inference_drift_labels_ratio";
const CONFIDENCE: &str = "digits_inference_drift_confidence_ratio";
const INK: &str = "digits_inference_ink_ratio";
const TRAINING_INK: &str = "digits_inference_training_ink_ratio";

pub(super) fn describe() {
    for (name, text) in [
        (
            LABELS,
            "distance of the predicted labels' shares from the training set's, 0 to 1",
        ),
        (CONFIDENCE, "mean confidence less the validation accuracy"),
        (INK, "mean pixel of the answered images"),
        (TRAINING_INK, "mean pixel of the training set"),
    ] {
        describe_gauge!(name, Unit::Count, text);
    }
}

/// The gauges of one part.
pub struct DriftGauges {
    labels: Gauge,
    confidence: Gauge,
    ink: Gauge,
    training_ink: Gauge,
}

impl DriftGauges {
    pub(super) fn new(model: &Arc<str>, role: Role) -> Self {
        let gauge = gauges(model, role);
        Self {
            labels: gauge(LABELS),
            confidence: gauge(CONFIDENCE),
            ink: gauge(INK),
            training_ink: gauge(TRAINING_INK),
        }
    }

    /// The figures of a window; NaN, Prometheus' "no value", where there are none.
    pub fn set(&self, drift: Option<Drift>) {
        let value = |of: fn(Drift) -> Option<f64>| drift.and_then(of).unwrap_or(f64::NAN);
        self.labels.set(value(|drift| drift.labels));
        self.confidence.set(value(|drift| drift.confidence));
        self.ink.set(value(|drift| Some(drift.ink)));
        self.training_ink.set(value(|drift| drift.training_ink));
    }
}
