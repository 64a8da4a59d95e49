//! Whether a published checkpoint was promoted, why not, and what was served before.

use crate::{id::CheckpointId, manifest::Manifest};

/// Longest text that is taken from a manifest.
const MAX_TEXT_CHARS: usize = 100;

/// The decision about the promotion of a published checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// The serving record that promoted the checkpoint; 0 when it was not promoted.
    pub sequence: u64,
    /// Why it was not promoted; `None` when it was, or when an earlier version decided.
    pub not_promoted: Option<NotPromoted>,
    /// The same as a sentence without a full stop; empty when it was promoted.
    pub explanation: String,
    /// Accuracy of the checkpoint, as [`accuracy`] defines it.
    pub accuracy: Option<f64>,
    /// The primary at that time: the checkpoint that was replaced, or that still serves.
    pub before: Option<PreviousPrimary>,
}

/// The primary of a model before a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviousPrimary {
    /// The serving record that names it.
    pub sequence: u64,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// Its accuracy, as [`accuracy`] defines it.
    pub accuracy: Option<f64>,
    /// Name of the data set that it was trained on; empty when that is unknown.
    pub dataset: String,
    /// The job that made it; empty for an import.
    pub job: String,
}

/// Reasons for not promoting a published checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotPromoted {
    /// The policy leaves the promotion to operators.
    Manual,
    /// The newest serving record has a hold.
    Hold,
    /// An operator has promoted it already.
    Serving,
    /// The primary is newer.
    Older,
    /// The validation result is not better than the primary's, or not comparable.
    NotBetter,
    /// It is for another data set, other labels or another image size than the primary, and its job
    /// names no model.
    OtherData,
    /// Its accuracy is too far below the primary's.
    Guard,
    /// This version cannot read the newest serving record, or must not trust it.
    Unreadable,
}

impl NotPromoted {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::Manual,
        Self::Hold,
        Self::Serving,
        Self::Older,
        Self::NotBetter,
        Self::OtherData,
        Self::Guard,
        Self::Unreadable,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Hold => "hold",
            Self::Serving => "serving",
            Self::Older => "older",
            Self::NotBetter => "not_better",
            Self::OtherData => "other_data",
            Self::Guard => "guard",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Share of correct answers on the validation set, or on the test set if that alone was measured.
#[must_use]
pub fn accuracy(manifest: &Manifest) -> Option<f64> {
    let metrics = &manifest.metrics;
    let measured = metrics.validation.as_ref().or(metrics.test.as_ref());
    measured.map(crate::manifest::Evaluation::accuracy)
}

/// Free text of a manifest as a decision records it: no longer than the names that jobs have.
pub(super) fn recorded(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

impl Decision {
    /// Promoted by the record `sequence`.
    pub(crate) fn promoted(
        manifest: &Manifest,
        sequence: u64,
        before: Option<PreviousPrimary>,
    ) -> Self {
        Self {
            sequence,
            accuracy: accuracy(manifest),
            before,
            ..Self::default()
        }
    }

    /// Not promoted.
    pub(crate) fn not_promoted(
        manifest: &Manifest,
        (reason, explanation): (NotPromoted, String),
        before: Option<PreviousPrimary>,
    ) -> Self {
        Self {
            not_promoted: Some(reason),
            explanation,
            accuracy: accuracy(manifest),
            before,
            ..Self::default()
        }
    }
}
