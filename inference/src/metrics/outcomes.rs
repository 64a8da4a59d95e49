//! Reported outcomes of predictions: correct and wrong, the confusion matrix, and the live accuracy
//! of the serving checkpoint.
//!
//! Bounded: at most 33 × 33 pairs of labels for each role, and the newest 1,000 outcomes.

use super::labels::{RoleLabel, gauges};
use metrics::{Counter, Gauge, counter};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Label indices from this one on share `other` in the confusion matrix, which has a counter for
/// each pair.
const LABELS: usize = 32;
/// Largest number of outcomes in the live accuracy.
const WINDOW: usize = 1_000;
/// Roles that answer.
const ROLES: [RoleLabel; 2] = [RoleLabel::Primary, RoleLabel::Canary];

/// A reported outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Index of the predicted label.
    pub predicted: usize,
    /// Index of the true label.
    pub actual: usize,
}

impl Outcome {
    /// Whether the prediction was correct.
    #[must_use]
    pub fn is_right(self) -> bool {
        self.predicted == self.actual
    }
}

/// Counters of one model.
pub struct Outcomes {
    model: Arc<str>,
    results: [[Counter; 2]; ROLES.len()],
    /// [role, predicted, actual]; a pair's counter is made when it first occurs.
    confusion: Box<[OnceLock<Counter>]>,
}

impl Outcomes {
    pub(super) fn new(model: Arc<str>) -> Self {
        let result = |role: RoleLabel, result: &'static str| counter!("digits_inference_outcomes_total", "model" => model.clone(), "role" => role.as_str(), "result" => result);
        let cells = ROLES.len() * (LABELS + 1) * (LABELS + 1);
        Self {
            results: ROLES.map(|role| [result(role, "wrong"), result(role, "right")]),
            confusion: (0..cells).map(|_| OnceLock::new()).collect(),
            model,
        }
    }

    /// Counts a reported outcome; a shadow has none.
    pub fn count(&self, role: RoleLabel, outcome: Outcome) {
        let Some(place) = ROLES.iter().position(|&one| one == role) else {
            return;
        };
        self.results[place][usize::from(outcome.is_right())].increment(1);
        let (predicted, actual) = (outcome.predicted.min(LABELS), outcome.actual.min(LABELS));
        let cell = (place * (LABELS + 1) + predicted) * (LABELS + 1) + actual;
        let counter = self.confusion[cell].get_or_init(|| {
            counter!(
                "digits_inference_confusion_total",
                "model" => self.model.clone(),
                "role" => role.as_str(),
                "predicted" => name(predicted),
                "actual" => name(actual)
            )
        });
        counter.increment(1);
    }
}

fn name(label: usize) -> String {
    if label < LABELS {
        label.to_string()
    } else {
        "other".to_owned()
    }
}

/// Live accuracy at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LiveAccuracy {
    /// Number of outcomes, at least 1.
    pub outcomes: usize,
    /// Share of correct predictions among them.
    pub ratio: f64,
}

/// Live accuracy of one checkpoint in one role: over its newest reported outcomes.
pub struct Live {
    newest: Mutex<VecDeque<bool>>,
    accuracy: Gauge,
    outcomes: Gauge,
}

impl Live {
    pub(super) fn new(model: &Arc<str>, role: RoleLabel) -> Self {
        let gauge = gauges(model, role);
        Self {
            newest: Mutex::default(),
            accuracy: gauge("digits_inference_live_accuracy_ratio"),
            outcomes: gauge("digits_inference_live_outcomes"),
        }
    }

    /// Adds an outcome, in place of the oldest if the window is full.
    pub fn record(&self, right: bool) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.len() == WINDOW {
            newest.pop_front();
        }
        newest.push_back(right);
        self.update(&newest);
    }

    /// The checkpoint serves from now on: shows its accuracy.
    pub fn show(&self) {
        self.update(&self.newest.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Nothing serves in this role any more.
    pub fn clear(&self) {
        self.update(&VecDeque::new());
    }

    /// The accuracy now; `None` without outcomes.
    pub fn accuracy(&self) -> Option<LiveAccuracy> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        (!newest.is_empty()).then(|| LiveAccuracy {
            outcomes: newest.len(),
            ratio: ratio(&newest),
        })
    }

    fn update(&self, newest: &VecDeque<bool>) {
        self.accuracy.set(ratio(newest));
        self.outcomes.set(newest.len() as f64);
    }
}

/// Share of correct predictions. Without outcomes this is NaN, Prometheus' "no value".
fn ratio(newest: &VecDeque<bool>) -> f64 {
    let right = newest.iter().filter(|&&right| right).count();
    right as f64 / newest.len() as f64
}
