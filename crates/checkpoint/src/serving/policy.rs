//! The rules of automatic promotion: a pure comparison of a published checkpoint with the primary.

use super::decision::{NotPromoted, accuracy, recorded};
use crate::manifest::Manifest;

/// Differences of accuracy below this are rounding.
const ROUNDING: f64 = 1e-9;

/// Whether a published checkpoint is promoted automatically.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Promote the newest published checkpoint.
    #[default]
    Latest,
    /// Promote a published checkpoint when its validation is better than that of the serving
    /// checkpoint (more correct, or as many at a lower loss), and both have the same data set,
    /// split and labels.
    IfBetter,
    /// Promotion by operators only.
    Manual,
}

/// The checkpoints that a published one may replace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Any of its model: the job names the model.
    #[default]
    Any,
    /// Only those for the same data set, labels and image size: the job took the default model.
    SameData,
}

/// Rules of an automatic promotion. They apply to a checkpoint that would replace another; the
/// first one of a model is promoted in any case, except by [`Policy::Manual`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PromotionRules {
    /// The policy of the job.
    pub policy: Policy,
    /// What the checkpoint may replace.
    pub scope: Scope,
    /// The operator's guard: largest loss of accuracy against the primary, from 0 to 1.
    pub guard: Option<f64>,
}

impl From<Policy> for PromotionRules {
    fn from(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }
}

impl PromotionRules {
    /// Why `new` is not to serve instead of `current`, the primary of record `head`, which is the
    /// newest; `None` when it is.
    #[must_use]
    pub fn objection(
        &self,
        new: &Manifest,
        current: &Manifest,
        head: u64,
    ) -> Option<(NotPromoted, String)> {
        if let Some(difference) = self.out_of_scope(new, current) {
            return Some((NotPromoted::OtherData, difference));
        }
        let id = current.id;
        match self.policy {
            Policy::Manual => Some(manual()),
            Policy::Latest if is_older(new, current, head) => Some((
                NotPromoted::Older,
                format!("the checkpoint {id}, which serves, is newer"),
            )),
            Policy::IfBetter if !(comparable(new, current) && better(new, current)) => Some((
                NotPromoted::NotBetter,
                format!(
                    "its validation result is not better than that of the checkpoint {id}, which serves, \
                     or was measured on other images"
                ),
            )),
            Policy::Latest | Policy::IfBetter => self.guarded(new, current),
        }
    }

    fn out_of_scope(&self, new: &Manifest, current: &Manifest) -> Option<String> {
        match self.scope {
            Scope::Any => None,
            Scope::SameData => difference(new, current),
        }
    }

    fn guarded(&self, new: &Manifest, current: &Manifest) -> Option<(NotPromoted, String)> {
        let guard = self.guard?;
        let (ours, theirs) = (accuracy(new)?, accuracy(current)?);
        // Negated, so that a NaN is held back.
        let close = theirs - ours <= guard + ROUNDING;
        (!close).then(|| {
            let id = current.id;
            let explanation = format!(
                "its accuracy of {:.2} % is more than the promotion guard of {:.2} points below the {:.2} % of the \
                 checkpoint {id}, which serves",
                ours * 100.0,
                guard * 100.0,
                theirs * 100.0
            );
            (NotPromoted::Guard, explanation)
        })
    }
}

/// Whether `new` was published before `current`, the primary of record `head`. What was published
/// after a record is newer than what that record names, and of two checkpoints the one that was
/// published after the later record is the newer one. The clock decides only between two that were
/// published at the same time, before either was promoted, and where a manifest has no sequence.
fn is_older(new: &Manifest, current: &Manifest, head: u64) -> bool {
    match (new.after_sequence, current.after_sequence) {
        (Some(after), _) if after >= head => false,
        (Some(new), Some(current)) if new != current => new < current,
        _ => new.created_at < current.created_at,
    }
}

/// The objection of [`Policy::Manual`].
pub(super) fn manual() -> (NotPromoted, String) {
    let explanation = "the job leaves the promotion to an operator";
    (NotPromoted::Manual, explanation.to_owned())
}

/// What differs between two checkpoints for those who call their model. A data set is the same if
/// its name is, so that one that has grown can be trained on again. The data of an import that was
/// not measured is unknown, and no difference.
fn difference(new: &Manifest, current: &Manifest) -> Option<String> {
    let model = &new.model;
    let (ours, theirs) = (&new.lineage, &current.lineage);
    let known = !ours.dataset.is_empty() && !theirs.dataset.is_empty();
    if known && ours.dataset != theirs.dataset && ours.dataset_digest != theirs.dataset_digest {
        return Some(format!(
            "it was trained on the data set {}, and the model {model} serves a checkpoint trained on {}",
            recorded(&ours.dataset),
            recorded(&theirs.dataset)
        ));
    }
    let served = format!("the checkpoint that the model {model} serves");
    if new.labels.len() != current.labels.len() {
        return Some(format!(
            "it has {} labels, and {served} has {}",
            new.labels.len(),
            current.labels.len()
        ));
    }
    let pairs = || new.labels.iter().zip(&current.labels);
    if let Some((left, right)) = pairs().find(|(left, right)| left != right) {
        return Some(format!(
            "its labels differ from those of {served}: {left:?} in place of {right:?}"
        ));
    }
    let size = |of: &Manifest| (of.input.height, of.input.width);
    (size(new) != size(current)).then(|| {
        let ((height, width), (other_height, other_width)) = (size(new), size(current));
        format!(
            "it takes images of {height}×{width} pixels, and {served} takes {other_height}×{other_width}"
        )
    })
}

fn comparable(new: &Manifest, current: &Manifest) -> bool {
    let (left, right) = (&new.lineage, &current.lineage);
    !left.dataset_digest.is_empty()
        && !left.split_digest.is_empty()
        && left.dataset_digest == right.dataset_digest
        && left.split_digest == right.split_digest
        && new.labels == current.labels
}

fn better(new: &Manifest, current: &Manifest) -> bool {
    let (Some(new), Some(current)) = (&new.metrics.validation, &current.metrics.validation) else {
        return false;
    };
    new.images == current.images
        && (new.correct > current.correct
            || new.correct == current.correct && new.loss < current.loss)
}
