//! From the spec that a client sends to a plan that can be trained: presets fill what is not set, everything
//! that is wrong is found at once, and nothing that is asked for is ignored in silence.
//!
//! Works on the generated `v1::JobSpec` itself, as `intake` and `run` do, which pass it on. Of the rest
//! of the trainer only `grpc` and `wire` name generated types; `tests/guards.sh` has the list.

mod augmentation;
mod check;
mod fill;
mod network;
mod parent;
mod plan;
mod precision;
mod presets;
mod stored;

pub use fill::request_key;
pub use network::network_size;
pub use parent::parent_id;
pub(crate) use plan::wanted;
pub use plan::{JobPlan, plan};
pub use presets::{Preset, presets};
pub use stored::{LineageSpec, StoredSpec};

use crate::datasets::Catalog;
use digits_checkpoint::manifest::Manifest;
use digits_proto::v1;

/// Something that is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request, such as `spec.sgd.learning_rate`.
    pub field: String,
    /// What is wrong and what would be right; lower case, no full stop.
    pub message: String,
}

/// What is wrong with a spec so far.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Adds one; `field` is the path below `spec.`.
    fn push(&mut self, field: impl AsRef<str>, message: impl Into<String>) {
        self.0.push(Violation {
            field: format!("spec.{}", field.as_ref()),
            message: message.into(),
        });
    }

    /// Whether something is wrong with this field already.
    fn names(&self, field: &str) -> bool {
        self.0
            .iter()
            .any(|violation| violation.field.strip_prefix("spec.") == Some(field))
    }

    fn into_result(self) -> Result<(), Vec<Violation>> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.0)
        }
    }
}

/// A spec with every field filled, and what it means.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The spec.
    pub spec: v1::JobSpec,
    /// What it means.
    pub job: JobPlan,
}

/// Fills, checks and plans a spec that starts from random weights. Asks libtorch for devices and the storage for
/// pushed data sets, which can take a moment: not for a runtime thread.
///
/// # Errors
/// Everything that is wrong with it.
pub fn resolve(requested: &v1::JobSpec, catalog: &Catalog) -> Result<Resolved, Vec<Violation>> {
    resolve_from(requested, catalog, None)
}

/// As [`resolve`], for a spec that may start from the checkpoint [`parent_id`], whose manifest is `parent`; `None`
/// where there is no such committed checkpoint.
///
/// # Errors
/// Everything that is wrong with it.
pub fn resolve_from(
    requested: &v1::JobSpec,
    catalog: &Catalog,
    parent: Option<&Manifest>,
) -> Result<Resolved, Vec<Violation>> {
    let mut found = Violations::default();
    let asked = parent.map(|parent| parent::inherit(requested, parent));
    let mut spec = fill::fill(asked.as_ref().unwrap_or(requested), &mut found);
    pin_dataset(&mut spec, catalog, &mut found);
    check::check(&spec, catalog, &mut found);
    parent::check(&spec, catalog, parent, &mut found);
    check::resolve_device(&mut spec, &mut found);
    found.into_result()?;
    let job = plan(&spec, catalog)?;
    Ok(Resolved { spec, job })
}

/// Replaces the name of a pushed data set by name and digest, so that the spec means the same content for ever.
fn pin_dataset(spec: &mut v1::JobSpec, catalog: &Catalog, found: &mut Violations) {
    let Some(name) = spec.data.as_mut().and_then(|data| data.dataset.as_mut()) else {
        return;
    };
    match catalog.pin(name) {
        Ok(None) => {}
        Ok(Some(pinned)) => *name = pinned.to_string(),
        Err(reason) => found.push("data.dataset", reason.to_string()),
    }
}

#[cfg(test)]
mod tests;
