//! Turns a job request into a job that can run: fills, checks and plans it.

use super::{
    JobPlan, JobRequest, SpecError, augmentation, check,
    fill::fill,
    parent,
    plan::{dataset_source, plan},
    presets,
    violation::Violations,
};
use crate::datasets::{Catalog, UnusableDataset};
use digits_checkpoint::manifest::Manifest;

/// A request after presets and checks.
#[derive(Clone, Debug)]
pub struct ResolvedJob {
    /// The request with every field set that has a default.
    pub spec: JobRequest,
    /// Plan for the worker.
    pub plan: JobPlan,
}

/// Fills, checks and plans a request. `parent` is the manifest of the checkpoint
/// [`JobRequest::parent_id`], `None` where there is no such committed checkpoint.
///
/// Blocks: detects GPUs, and reads the storage for pushed data sets.
///
/// # Errors
/// [`SpecError::Invalid`] with everything that is wrong with the request,
/// [`SpecError::DataUnavailable`] when the storage fails.
pub fn resolve(
    request: &JobRequest,
    catalog: &Catalog,
    parent: Option<&Manifest>,
) -> Result<ResolvedJob, SpecError> {
    let mut found = Violations::default();
    let preset = presets::find(&request.preset, &mut found);
    let mut spec = request.clone();
    if let Some(parent) = parent {
        parent::inherit(&mut spec, parent);
    }
    let mut spec = fill(spec, preset);
    pin_dataset(&mut spec, catalog, &mut found)?;
    if let Some(filled) = &mut spec.augmentation
        && let Ok(shape) = catalog.shape(&dataset_source(&spec.data))
    {
        augmentation::settle(filled, request.augmentation.as_ref(), &shape);
    }
    check::check(&spec, catalog, &mut found);
    parent::check(&spec, catalog, parent, &mut found);
    check::settle_device(&mut spec, &mut found);
    found.into_result()?;
    let plan = plan(&spec, catalog)?;
    Ok(ResolvedJob { spec, plan })
}

/// Replaces the name of a pushed data set by its name and digest, so that the spec always means the
/// same content.
fn pin_dataset(
    spec: &mut JobRequest,
    catalog: &Catalog,
    found: &mut Violations,
) -> Result<(), SpecError> {
    let Some(name) = &mut spec.data.dataset else {
        return Ok(());
    };
    match catalog.pin(name) {
        Ok(Some(pinned)) => *name = pinned.to_string(),
        Ok(None) => {}
        Err(UnusableDataset::Unavailable) => return Err(SpecError::DataUnavailable),
        Err(reason @ UnusableDataset::Refused(_)) => found.push("data.dataset", reason.to_string()),
    }
    Ok(())
}
