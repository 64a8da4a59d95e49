//! Violations of a job spec, by field.

use super::request::Choice;
use std::{fmt::Display, ops::RangeInclusive};

/// Something that is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request, such as `spec.sgd.learning_rate`.
    pub field: String,
    /// What is wrong and what would be right; lower case, no full stop.
    pub message: String,
}

impl Violation {
    fn new(field: &str, message: impl Into<String>) -> Self {
        Self {
            field: format!("spec.{field}"),
            message: message.into(),
        }
    }
}

/// Why a spec is not a job that this trainer can run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The spec is wrong in these fields.
    #[error("{}", list(.0))]
    Invalid(Vec<Violation>),
    /// The storage with the pushed data sets cannot be read; nothing is wrong with the spec.
    #[error("the storage of the pushed data sets cannot be read")]
    DataUnavailable,
}

impl SpecError {
    /// One violation; `field` is the path below `spec.`.
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation::new(field, message)])
    }
}

fn list(violations: &[Violation]) -> String {
    let each = violations.iter();
    let each: Vec<String> = each
        .map(|violation| format!("{}: {}", violation.field, violation.message))
        .collect();
    each.join("; ")
}

/// Violations found so far, so that all of them can be reported at once.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<Violation>);

impl Violations {
    /// Adds one; `field` is the path below `spec.`.
    pub(super) fn push(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(Violation::new(field, message));
    }

    /// Checks that a value is in a range; NaN is in none.
    pub(super) fn in_range<T: PartialOrd + Display>(
        &mut self,
        field: &str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            let (from, to) = range.into_inner();
            self.push(field, format!("must be from {from} to {to}, not {value}"));
        }
    }

    /// Checks that a share is less than 1.
    pub(super) fn below_one(&mut self, field: &str, value: f64) {
        if !(0.0..1.0).contains(&value) {
            self.push(field, format!("must be from 0 to less than 1, not {value}"));
        }
    }

    /// Checks that a choice is one that this version knows.
    pub(super) fn recognized<T>(&mut self, field: &str, choice: Choice<T>, known: &str) {
        if let Some(Err(_)) = choice {
            self.push(field, format!("is not known: use {known}"));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is one of this field.
    pub(super) fn contains(&self, field: &str) -> bool {
        self.0
            .iter()
            .any(|violation| violation.field.strip_prefix("spec.") == Some(field))
    }

    #[cfg(test)]
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|violation| violation.field.as_str())
    }

    pub(super) fn into_result(self) -> Result<(), SpecError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(SpecError::Invalid(self.0))
        }
    }
}
