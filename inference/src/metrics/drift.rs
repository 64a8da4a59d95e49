//! Gauges of drift: how the classified images differ from the training set.

use super::labels::{RoleLabel, gauges};
use metrics::Gauge;
use std::sync::Arc;

/// The values of a full window; `None` where the checkpoint's manifest has nothing to compare with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DriftValues {
    /// Distance of the predicted labels' shares from the training set's: half the sum of the
    /// absolute differences, 0 equal, 1 nothing in common.
    pub labels: Option<f64>,
    /// Mean confidence minus the validation accuracy.
    pub confidence: Option<f64>,
    /// Mean pixel of the classified images, from 0 to 1.
    pub ink: Option<f64>,
    /// Mean pixel of the training set, from 0 to 1.
    pub training_ink: Option<f64>,
}

/// The gauges of one role of a model.
pub struct DriftGauges {
    labels: Gauge,
    confidence: Gauge,
    ink: Gauge,
    training_ink: Gauge,
}

impl DriftGauges {
    pub(super) fn new(model: &Arc<str>, role: RoleLabel) -> Self {
        let gauge = gauges(model, role);
        Self {
            labels: gauge("digits_inference_drift_labels_ratio"),
            confidence: gauge("digits_inference_drift_confidence_ratio"),
            ink: gauge("digits_inference_ink_ratio"),
            training_ink: gauge("digits_inference_training_ink_ratio"),
        }
    }

    /// Sets the gauges; NaN, Prometheus' "no value", for `None`.
    pub fn set(&self, values: DriftValues) {
        for (gauge, value) in [
            (&self.labels, values.labels),
            (&self.confidence, values.confidence),
            (&self.ink, values.ink),
            (&self.training_ink, values.training_ink),
        ] {
            gauge.set(value.unwrap_or(f64::NAN));
        }
    }

    /// There is no full window of what is served.
    pub fn clear(&self) {
        self.set(DriftValues::default());
    }
}
