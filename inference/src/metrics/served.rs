//! Gauges of what is served: one set for each part of each model.

use super::{DriftGauges, gauges};
use crate::model::LoadedModel;
use digits_checkpoint::record::Role;
use metrics::{Gauge, gauge};
use std::sync::Arc;

/// What is told of one checkpoint while it is served.
pub struct ServedGauges {
    sequence: Gauge,
    created: Gauge,
    age: Gauge,
    step: Gauge,
    validation_loss: Gauge,
    validation_accuracy: Gauge,
    image_alone: Gauge,
    image_among_many: Gauge,
    /// How what is asked differs from what was learnt.
    pub drift: DriftGauges,
}

impl ServedGauges {
    pub(super) fn new(model: &Arc<str>, role: Role) -> Self {
        let gauge = gauges(model, role);
        let image = |company: &'static str| gauge!("digits_inference_image_duration_seconds", "model" => model.clone(), "role" => role.as_str(), "company" => company);
        Self {
            image_alone: image("alone"),
            image_among_many: image("among_many"),
            sequence: gauge("digits_inference_model_sequence"),
            created: gauge("digits_inference_checkpoint_created_timestamp_seconds"),
            age: gauge("digits_inference_checkpoint_age_seconds"),
            step: gauge("digits_inference_checkpoint_step"),
            validation_loss: gauge("digits_inference_checkpoint_validation_loss"),
            validation_accuracy: gauge("digits_inference_checkpoint_validation_accuracy_ratio"),
            drift: DriftGauges::new(model, role),
        }
    }

    /// The checkpoint serves from now on, as this sequence.
    pub fn set(&self, sequence: u64, checkpoint: &LoadedModel) {
        let (manifest, image) = (&checkpoint.manifest, checkpoint.image_seconds);
        self.image_alone.set(image.alone);
        self.image_among_many.set(image.among_many);
        self.sequence.set(sequence as f64);
        self.created
            .set(manifest.created_at.as_millisecond() as f64 / 1e3);
        self.step.set(manifest.lineage.step as f64);
        // NaN is Prometheus' "no value": a checkpoint need not have been validated.
        let validation = manifest.metrics.validation;
        self.validation_loss
            .set(validation.map_or(f64::NAN, |it| it.loss));
        self.validation_accuracy
            .set(validation.map_or(f64::NAN, |it| it.accuracy()));
    }

    /// How old the checkpoint is.
    pub fn set_age(&self, seconds: f64) {
        self.age.set(seconds);
    }

    /// Nothing is served in this role any more.
    pub fn clear(&self) {
        let all = [&self.sequence, &self.created, &self.age, &self.step];
        all.into_iter()
            .chain([&self.validation_loss, &self.validation_accuracy])
            .chain([&self.image_alone, &self.image_among_many])
            .for_each(|gauge| gauge.set(0.0));
        self.drift.set(None);
    }
}
