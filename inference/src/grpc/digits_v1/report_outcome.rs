//! `ReportOutcome`: counts the true label of a prediction, and updates the live accuracy of its
//! checkpoint.

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
/// INVALID_ARGUMENT with every violation.
pub(super) fn report(
    model: &Model,
    snapshot: &ServingSnapshot,
    request: &ReportOutcomeRequest,
) -> Result<(), Status> {
    let classes = snapshot.primary.checkpoint.network.classes();
    let mut violations = Violations::new();
    let labels = [
        ("predicted_label_index", request.predicted_label_index),
        ("true_label_index", request.true_label_index),
    ];
    for (field, index) in labels {
        if index as usize >= classes {
            let message = format!("must be below {classes}, the number of labels, not {index}");
            violations.push(field, message);
        }
    }
    // No upper bound: a caller reports to any replica, and another one may serve a newer record.
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
    model.outcomes.count(role.into(), outcome);
    // The live accuracy is that of the serving checkpoint: outcomes of earlier ones are only
    // counted.
    let covers = |since: u64| (since..=snapshot.sequence).contains(&request.sequence);
    if let Some(route) = snapshot
        .routes()
        .find(|route| route.role == role && covers(route.since_sequence))
    {
        route.live.record(outcome.is_right());
    }
    Ok(())
}
