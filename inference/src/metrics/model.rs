//! Metrics of one model: its loads, its unlabelled images, and handles for its checkpoints.

use super::{
    labels::RoleLabel,
    outcomes::{Live, Outcomes},
    roles::RoleMetrics,
    served::ServedGauges,
    statistics::Statistics,
};
use digits_checkpoint::LogFault;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::sync::Arc;

/// Images of one model without a label, and comparisons with its shadows.
pub struct AnswerMetrics {
    /// Blank images.
    pub blank: Counter,
    /// Images with several digits.
    pub several_digits: Counter,
    /// Images whose most probable label is below the requested probability.
    pub unsure: Counter,
    /// Images to which a shadow gave the same label as the response.
    pub shadow_same: Counter,
    /// Images to which a shadow gave another label.
    pub shadow_different: Counter,
    /// Requests that no shadow computed, because it was overloaded.
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

/// Metrics of the loader of one model.
pub struct ModelMetrics {
    model: Arc<str>,
    /// Checkpoints that were loaded.
    pub loaded: Counter,
    /// Checkpoints that were refused.
    pub refused: Counter,
    /// Reads of the storage that failed and are retried.
    pub failed: Counter,
    refusals: Vec<(&'static str, Counter)>,
    /// Seconds from seeing a serving record to serving it.
    pub reload_duration: Histogram,
    /// Seconds from a serving record's timestamp to serving it, of records that came while the
    /// process followed the storage.
    pub publish_to_serve: Histogram,
    /// Seconds since 1970, by the clock of its writer, of the serving record that is served.
    pub record_made: Gauge,
    /// Seconds since 1970 when that record was applied.
    pub record_applied: Gauge,
    /// Newest sequence on the storage.
    pub head_sequence: Gauge,
    /// Head sequence minus served sequence.
    pub behind_head: Gauge,
    /// Sequence of the pin; 0 without one.
    pub pinned_sequence: Gauge,
    /// Seconds since 1970 of the last successful read.
    pub storage_read: Gauge,
    /// 1 while the storage has a fault, for each of [`LogFault::KINDS`].
    pub storage_faults: [Gauge; LogFault::KINDS.len()],
    /// Serving logs that were replaced by another one.
    pub log_replacements: Counter,
    /// Counts and durations that can be read back.
    pub statistics: Arc<Statistics>,
}

impl ModelMetrics {
    /// Looks the handles up; `reasons` are the possible reasons of a refusal.
    #[must_use]
    pub fn new(model: &str, reasons: &[&'static str]) -> Self {
        let model: Arc<str> = model.into();
        let gauge = |name: &'static str| gauge!(name, "model" => model.clone());
        let reloads = |result: &'static str| counter!("digits_inference_reloads_total", "model" => model.clone(), "result" => result);
        let refusal = |&reason: &&'static str| {
            let counter = counter!("digits_inference_refusals_total", "model" => model.clone(), "reason" => reason);
            (reason, counter)
        };
        Self {
            loaded: reloads("loaded"),
            refused: reloads("refused"),
            failed: reloads("failed"),
            refusals: reasons.iter().map(refusal).collect(),
            reload_duration: histogram!("digits_inference_reload_duration_seconds", "model" => model.clone()),
            publish_to_serve: histogram!("digits_inference_publish_to_serve_seconds", "model" => model.clone()),
            record_made: gauge("digits_inference_serving_record_timestamp_seconds"),
            record_applied: gauge("digits_inference_serving_since_timestamp_seconds"),
            head_sequence: gauge("digits_inference_head_sequence"),
            behind_head: gauge("digits_inference_behind_head"),
            pinned_sequence: gauge("digits_inference_pinned_sequence"),
            storage_read: gauge("digits_inference_storage_read_timestamp_seconds"),
            storage_faults: LogFault::KINDS.map(|kind| {
                gauge!("digits_inference_storage_fault", "model" => model.clone(), "fault" => kind)
            }),
            log_replacements: counter!("digits_inference_log_replacements_total", "model" => model.clone()),
            statistics: Arc::default(),
            model,
        }
    }

    /// Counts a refused checkpoint.
    pub fn refusal(&self, reason: &str) {
        self.refused.increment(1);
        if let Some((_, counter)) = self.refusals.iter().find(|(known, _)| *known == reason) {
            counter.increment(1);
        }
    }

    /// Gauges of the checkpoint that serves in `role`.
    #[must_use]
    pub fn served(&self, role: RoleLabel) -> ServedGauges {
        ServedGauges::new(&self.model, role)
    }

    /// Metrics of the predictions of a checkpoint with `classes` labels.
    #[must_use]
    pub fn role(&self, role: RoleLabel, classes: usize) -> RoleMetrics {
        let metrics = RoleMetrics::new(&self.model, role, classes);
        match role {
            RoleLabel::Shadow => metrics,
            RoleLabel::Primary | RoleLabel::Canary => {
                metrics.with_statistics(Arc::clone(&self.statistics))
            }
        }
    }

    /// Images of the model without a label, and comparisons with its shadows.
    #[must_use]
    pub fn answers(&self) -> AnswerMetrics {
        AnswerMetrics::new(&self.model)
    }

    /// Live accuracy of a checkpoint.
    #[must_use]
    pub fn live(&self, role: RoleLabel) -> Live {
        Live::new(&self.model, role)
    }

    /// Reported outcomes of the model.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        Outcomes::new(self.model.clone())
    }
}
