//! Values of the labels that the series of predictions have.

use metrics::{Gauge, gauge};
use std::sync::Arc;

/// Label indices from this one on share the label `other`.
pub(crate) const LABELS: usize = 64;

/// The label `role`: the part that a checkpoint has in serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleLabel {
    /// Answers.
    Primary,
    /// Answers a share of the requests.
    Canary,
    /// Computes along without answering.
    Shadow,
}

impl RoleLabel {
    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

/// The label `label` of a predicted digit, by its index.
pub(crate) fn label_name(index: usize) -> String {
    if index < LABELS {
        index.to_string()
    } else {
        "other".to_owned()
    }
}

/// Looks up gauges of a model in a role, by name.
pub(super) fn gauges(model: &Arc<str>, role: RoleLabel) -> impl Fn(&'static str) -> Gauge {
    move |name| gauge!(name, "model" => model.clone(), "role" => role.as_str())
}
