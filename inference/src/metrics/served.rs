//! Gauges of the served checkpoint of each role of each model.

use super::{
    drift::DriftGauges,
    labels::{RoleLabel, gauges},
};
use metrics::{Gauge, gauge};
use std::sync::Arc;

/// Figures of a checkpoint that starts to serve.
#[derive(Clone, Copy, Debug)]
pub struct ServedValues {
    /// Sequence of the serving record.
    pub sequence: u64,
    /// When the checkpoint was made, in seconds since 1970.
    pub created_seconds: f64,
    /// Its training steps.
    pub step: u64,
    /// Its mean cross-entropy over the validation images, in nats.
    pub validation_loss: Option<f64>,
    /// Its accuracy over the validation images, from 0 to 1.
    pub validation_accuracy: Option<f64>,
    /// Time of an image by itself, in seconds.
    pub image_alone_seconds: f64,
    /// Time of an image in a large batch, in seconds.
    pub image_among_many_seconds: f64,
}

/// The gauges of the checkpoint that serves in one role of a model.
pub struct ServedGauges {
    sequence: Gauge,
    created: Gauge,
    age: Gauge,
    step: Gauge,
    validation_loss: Gauge,
    validation_accuracy: Gauge,
    image_alone: Gauge,
    image_among_many: Gauge,
    /// How the classified images differ from the training set.
    pub drift: DriftGauges,
}

impl ServedGauges {
    pub(super) fn new(model: &Arc<str>, role: RoleLabel) -> Self {
        let gauge = gauges(model, role);
        let image = |company: &'static str| gauge!("digits_inference_image_duration_seconds", "model" => model.clone(), "role" => role.as_str(), "company" => company);
        Self {
            sequence: gauge("digits_inference_model_sequence"),
            created: gauge("digits_inference_checkpoint_created_timestamp_seconds"),
            age: gauge("digits_inference_checkpoint_age_seconds"),
            step: gauge("digits_inference_checkpoint_step"),
            validation_loss: gauge("digits_inference_checkpoint_validation_loss"),
            validation_accuracy: gauge("digits_inference_checkpoint_validation_accuracy_ratio"),
            image_alone: image("alone"),
            image_among_many: image("among_many"),
            drift: DriftGauges::new(model, role),
        }
    }

    /// A checkpoint serves from now on.
    pub fn set(&self, values: &ServedValues) {
        // NaN is Prometheus' "no value": a checkpoint need not have been validated.
        for (gauge, value) in [
            (&self.sequence, values.sequence as f64),
            (&self.created, values.created_seconds),
            (&self.step, values.step as f64),
            (
                &self.validation_loss,
                values.validation_loss.unwrap_or(f64::NAN),
            ),
            (
                &self.validation_accuracy,
                values.validation_accuracy.unwrap_or(f64::NAN),
            ),
            (&self.image_alone, values.image_alone_seconds),
            (&self.image_among_many, values.image_among_many_seconds),
        ] {
            gauge.set(value);
        }
    }

    /// Sets the age of the checkpoint.
    pub fn set_age(&self, seconds: f64) {
        self.age.set(seconds);
    }

    /// Nothing serves in this role any more.
    pub fn clear(&self) {
        for gauge in [
            &self.sequence,
            &self.created,
            &self.age,
            &self.step,
            &self.validation_loss,
            &self.validation_accuracy,
            &self.image_alone,
            &self.image_among_many,
        ] {
            gauge.set(0.0);
        }
        self.drift.clear();
    }
}
