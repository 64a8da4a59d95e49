//! Sweeps and trials as protobuf messages.

use crate::{
    job::JobState,
    store::{Sweep, Trial},
    sweep::TrialState,
    wire,
};
use digits_checkpoint::messages::evaluation;
use digits_proto::v1;
use prost::Message as _;

/// The message of a sweep.
pub(super) fn sweep_message(sweep: &Sweep) -> v1::Sweep {
    let spec = v1::SweepSpec::decode(sweep.spec.as_slice()).inspect_err(|error| {
        tracing::debug!(sweep = %sweep.id, %error, "a stored sweep spec cannot be read");
    });
    let rungs = sweep.rungs.iter().map(|rung| v1::Rung {
        epochs: rung.epochs,
        configurations: rung.configurations,
    });
    v1::Sweep {
        sweep_id: sweep.id.to_string(),
        request_id: sweep.request_id.clone(),
        spec: spec.ok(),
        state: wire::sweep_state(sweep.state).into(),
        created_at: Some(wire::timestamp(sweep.created_us)),
        finished_at: sweep.finished_us.map(wire::timestamp),
        cancel_requested: sweep.cancel_requested,
        fields: sweep.fields.clone(),
        rungs: rungs.collect(),
        trials: sweep.trials.iter().map(trial).collect(),
        ended_trials: sweep.ended_trials,
        total_trials: sweep.total_trials,
        best: sweep.best.as_ref().map(trial),
        model: sweep.model.clone(),
    }
}

fn trial(trial: &Trial) -> v1::Trial {
    v1::Trial {
        number: trial.number,
        configuration: trial.configuration,
        rung: trial.rung,
        values: trial.values.clone(),
        seed: trial.seed,
        epochs: trial.epochs,
        state: state(trial.state).into(),
        job_id: trial.job.map(|id| id.to_string()).unwrap_or_default(),
        error: trial.error.clone(),
        epoch: trial.epoch,
        checkpoint_id: trial
            .checkpoint
            .map(|id| id.to_string())
            .unwrap_or_default(),
        validation: trial.validation.as_ref().map(evaluation),
    }
}

fn state(state: TrialState) -> v1::TrialState {
    match state {
        TrialState::Pending => v1::TrialState::Pending,
        TrialState::Submitted(JobState::Queued) => v1::TrialState::Queued,
        TrialState::Submitted(JobState::Running) => v1::TrialState::Running,
        TrialState::Submitted(JobState::Succeeded) => v1::TrialState::Succeeded,
        TrialState::Failed | TrialState::Submitted(JobState::Failed) => v1::TrialState::Failed,
        TrialState::Cancelled | TrialState::Submitted(JobState::Cancelled) => {
            v1::TrialState::Cancelled
        }
    }
}
