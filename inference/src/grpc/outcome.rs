//! `ReportOutcome`: what a digit really was, in the counters and in the live accuracy of what serves.

use crate::{
    metrics::Outcome,
    model::{Model, ServingSnapshot},
};
use digits_checkpoint::record::Role;
use digits_proto::v1::{ReportOutcomeRequest, ServingRole};
use digits_server::violations::Violations;
use tonic::Status;

/// Counts a reported outcome.
///
/// # Errors
///
/// INVALID_ARGUMENT with everything that is wrong.
pub(super) fn report(
    model: &Model,
    serving: &ServingSnapshot,
    request: &ReportOutcomeRequest,
) -> Result<(), Status> {
    let classes = serving.primary.checkpoint.network.classes();
    let mut violations = Violations::new();
    let labels = [
        ("predicted_label_index", request.predicted_label_index),
        ("true_label_index", request.true_label_index),
    ];
    for (field, index) in labels {
        if index as usize >= classes {
            violations.push(
                field,
                format!("must be below {classes}, the number of labels, not {index}"),
            );
        }
    }
    // No upper bound: a caller reports to any replica, and another one may serve a record already that this one has not seen yet.
    if request.sequence == 0 {
        violations.push("sequence", "must be the one that served the prediction");
    }
    let role = match ServingRole::try_from(request.role) {
        Ok(ServingRole::Primary | ServingRole::Unspecified) => Some(Role::Primary),
        Ok(ServingRole::Canary) => Some(Role::Canary),
        Ok(ServingRole::Shadow) | Err(_) => {
            violations.push(
                "role",
                "must be the one that served the prediction: primary or canary",
            );
            None
        }
    };
    violations.into_result()?;
    let Some(role) = role else {
        return Ok(());
    };
    let outcome = Outcome {
        predicted: request.predicted_label_index as usize,
        actual: request.true_label_index as usize,
    };
    model.outcomes.count(role, outcome);
    // The live accuracy is of the checkpoint that serves: an outcome of one before it is only counted.
    let spoken_of = |from: u64| (from..=serving.sequence).contains(&request.sequence);
    if let Some(served) = serving
        .all()
        .find(|served| served.role == role && spoken_of(served.since_sequence))
    {
        served.live.record(outcome.is_right());
    }
    Ok(())
}
