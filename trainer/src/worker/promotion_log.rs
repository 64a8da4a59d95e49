//! Logs and counts what the promotion of a checkpoint replaced, or why there was none.

use crate::{job::JobId, metrics::Metrics};
use digits_checkpoint::{
    id::ModelName,
    manifest::Manifest,
    serving::{Decision, NotPromoted},
};

/// Logs and counts a decision about the checkpoint with this manifest.
pub(super) fn report(metrics: &Metrics, job: JobId, manifest: &Manifest, decision: &Decision) {
    let (id, model) = (manifest.id, &manifest.model);
    if let Some(reason) = decision.not_promoted {
        metrics.not_promoted(reason);
        let why = &decision.explanation;
        let promote = format!("digits promote {id}{}", model_flag(model));
        match reason {
            NotPromoted::Guard => {
                tracing::warn!(%job, checkpoint = %id, %model, why, promote, "checkpoint held back by --promotion-guard");
            }
            // A decision of the user or an operator, or logged before.
            _ => {
                tracing::info!(%job, checkpoint = %id, %model, why, promote, "checkpoint not promoted");
            }
        }
        return;
    }
    // The checkpoints of one job replace each other.
    let foreign =
        |before: &&digits_checkpoint::serving::PreviousPrimary| before.job != job.to_string();
    if let Some(before) = decision.before.as_ref().filter(foreign) {
        tracing::info!(
            %job, checkpoint = %id, %model,
            accuracy = decision.accuracy,
            replaced = %before.checkpoint,
            replaced_accuracy = before.accuracy,
            rollback = format!("digits rollback --to {}{}", before.sequence, model_flag(model)),
            "checkpoint replaces the one that served"
        );
    }
}

/// The flag that names a model which is not the default.
fn model_flag(model: &ModelName) -> String {
    match model.as_str() {
        ModelName::DEFAULT => String::new(),
        other => format!(" --model {other}"),
    }
}
