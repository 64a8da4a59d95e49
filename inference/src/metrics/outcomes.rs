//! What callers report of predictions: right and wrong, which label for which, and how the checkpoint that serves now does.
//!
//! Bounded whatever is reported: counters for so many labels, and of single outcomes the newest few.

use super::gauges;
use digits_checkpoint::record::Role;
use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Labels from this index on are one in the confusion matrix, `other`: it has a counter for each pair.
const LABELS: usize = 32;
/// Outcomes that the live accuracy is made of, at most.
const WINDOW: usize = 1_000;
/// Who answers, and so can be reported of.
const ROLES: [Role; 2] = [Role::Primary, Role::Canary];

pub(super) fn describe() {
    describe_counter!(
        "digits_inference_outcomes_total",
        Unit::Count,
        "reported outcomes"
    );
    describe_counter!(
        "digits_inference_confusion_total",
        Unit::Count,
        "reported outcomes by what was predicted and what it was"
    );
    describe_gauge!(
        "digits_inference_live_accuracy_ratio",
        Unit::Count,
        "share of the newest reported outcomes of what serves that were right"
    );
    describe_gauge!(
        "digits_inference_live_outcomes",
        Unit::Count,
        "reported outcomes that the live accuracy is made of"
    );
}

/// What was predicted, and what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Index of the label that was given.
    pub predicted: usize,
    /// Index of the right one.
    pub actual: usize,
}

impl Outcome {
    /// Whether the two are one.
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
        let result = |role: Role, result: &'static str| counter!("digits_inference_outcomes_total", "model" => model.clone(), "role" => role.as_str(), "result" => result);
        let cells = ROLES.len() * (LABELS + 1) * (LABELS + 1);
        Self {
            results: ROLES.map(|role| [result(role, "wrong"), result(role, "right")]),
            confusion: (0..cells).map(|_| OnceLock::new()).collect(),
            model,
        }
    }

    /// Counts a reported outcome; a shadow has none.
    pub fn count(&self, role: Role, outcome: Outcome) {
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

/// How one checkpoint does in one part, by the newest outcomes reported of it.
pub struct Live {
    newest: Mutex<VecDeque<bool>>,
    accuracy: Gauge,
    outcomes: Gauge,
}

impl Live {
    pub(super) fn new(model: &Arc<str>, role: Role) -> Self {
        let gauge = gauges(model, role);
        Self {
            newest: Mutex::default(),
            accuracy: gauge("digits_inference_live_accuracy_ratio"),
            outcomes: gauge("digits_inference_live_outcomes"),
        }
    }

    /// One more, in place of the oldest where there are enough.
    pub fn record(&self, right: bool) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.len() == WINDOW {
            newest.pop_front();
        }
        newest.push_back(right);
        self.tell(&newest);
    }

    /// The checkpoint serves from now on: what is told is of it.
    pub fn show(&self) {
        self.tell(&self.newest.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Nothing is served in this part any more.
    pub fn clear(&self) {
        self.tell(&VecDeque::new());
    }

    fn tell(&self, newest: &VecDeque<bool>) {
        let right = newest.iter().filter(|&&right| right).count();
        // Without outcomes this is NaN, Prometheus' "no value".
        self.accuracy.set(right as f64 / newest.len() as f64);
        self.outcomes.set(newest.len() as f64);
    }
}
