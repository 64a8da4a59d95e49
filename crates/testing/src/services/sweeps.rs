//! Sweeps of the scripted trainer: one, which ends while it is watched.

use super::script::{CHECKPOINT, JOB, SWEEP, Trainer, evaluation};
use digits_proto::v1::{self, sweep_service_server::SweepService};
use std::sync::atomic::Ordering::SeqCst;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Two configurations with two seeds each; the third trial fails, and those after `ended` wait.
fn trial(number: u32, ended: u32) -> v1::Trial {
    let accuracy = 0.9 + f64::from(number) / 100.0;
    let configuration = number.div_ceil(2);
    let state = match number {
        _ if number > ended => v1::TrialState::Pending,
        3 => v1::TrialState::Failed,
        _ => v1::TrialState::Succeeded,
    };
    let succeeded = state == v1::TrialState::Succeeded;
    v1::Trial {
        number,
        configuration,
        rung: 1,
        values: vec![["0.03", "0.1"][configuration as usize - 1].to_owned()],
        seed: 6 + u64::from(number % 2),
        epochs: 5,
        state: state.into(),
        job_id: if number > ended {
            String::new()
        } else {
            JOB.to_owned()
        },
        error: if state == v1::TrialState::Failed {
            "no room".to_owned()
        } else {
            String::new()
        },
        epoch: if number > ended { 0 } else { 5 },
        checkpoint_id: if succeeded {
            CHECKPOINT.to_owned()
        } else {
            String::new()
        },
        validation: succeeded.then(|| evaluation(6_000, accuracy, 1.0 - accuracy)),
    }
}

fn sweep(state: v1::SweepState, ended: u32) -> v1::Sweep {
    let trials: Vec<v1::Trial> = (1..=4).map(|number| trial(number, ended)).collect();
    v1::Sweep {
        sweep_id: SWEEP.to_owned(),
        spec: Some(v1::SweepSpec {
            job: Some(v1::JobSpec {
                name: "rates".to_owned(),
                ..Default::default()
            }),
            seeds: 2,
            ..Default::default()
        }),
        state: state.into(),
        fields: vec!["learning_rate".to_owned()],
        rungs: vec![v1::Rung {
            epochs: 0,
            configurations: 2,
        }],
        best: trials.iter().rfind(|it| it.validation.is_some()).cloned(),
        trials,
        ended_trials: ended,
        total_trials: 4,
        model: "digits".to_owned(),
        ..Default::default()
    }
}

fn known(sweep_id: &str) -> Result<(), Status> {
    if sweep_id == SWEEP {
        Ok(())
    } else {
        Err(Status::not_found(format!(
            "there is no sweep {sweep_id}: ListSweeps lists them"
        )))
    }
}

#[tonic::async_trait]
impl SweepService for Trainer {
    async fn submit_sweep(
        &self,
        request: Request<v1::SubmitSweepRequest>,
    ) -> Result<Response<v1::SubmitSweepResponse>, Status> {
        let spec = request.into_inner().spec.unwrap_or_default();
        if spec.parameters.iter().any(|it| it.field == "nonsense") {
            let mut details = ErrorDetails::new();
            let description = "a job spec has no field \"nonsense\"";
            details.add_bad_request_violation("spec.parameters[0].field", description);
            details.add_bad_request_violation("spec.job.sgd.learning_rate", "must be above 0");
            return Err(Status::with_error_details(
                tonic::Code::InvalidArgument,
                "invalid spec",
                details,
            ));
        }
        let mut accepted = sweep(v1::SweepState::Running, 0);
        accepted.spec = Some(spec);
        Ok(Response::new(v1::SubmitSweepResponse {
            sweep: Some(accepted),
        }))
    }

    async fn get_sweep(
        &self,
        request: Request<v1::GetSweepRequest>,
    ) -> Result<Response<v1::GetSweepResponse>, Status> {
        known(&request.into_inner().sweep_id)?;
        let found = match self.sweep_reads.fetch_add(1, SeqCst) {
            0 => sweep(v1::SweepState::Running, 2),
            _ => sweep(v1::SweepState::Succeeded, 4),
        };
        Ok(Response::new(v1::GetSweepResponse { sweep: Some(found) }))
    }

    async fn list_sweeps(
        &self,
        _: Request<v1::ListSweepsRequest>,
    ) -> Result<Response<v1::ListSweepsResponse>, Status> {
        let mut listed = sweep(v1::SweepState::Succeeded, 4);
        listed.trials.clear();
        Ok(Response::new(v1::ListSweepsResponse {
            sweeps: vec![listed],
            next_page_token: String::new(),
        }))
    }

    async fn cancel_sweep(
        &self,
        request: Request<v1::CancelSweepRequest>,
    ) -> Result<Response<v1::CancelSweepResponse>, Status> {
        known(&request.into_inner().sweep_id)?;
        let mut cancelled = sweep(v1::SweepState::Running, 2);
        cancelled.cancel_requested = true;
        Ok(Response::new(v1::CancelSweepResponse {
            sweep: Some(cancelled),
        }))
    }
}
