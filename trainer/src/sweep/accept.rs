//! Accepts sweeps: makes their trials, checks every one as a job is checked, and stores them
//! together.

use super::{
    configurations::{self, Configuration, check_count, configurations},
    id::SweepId,
    request::SweepRequest,
    rungs::{Rung, rungs},
    trial::NewTrial,
};
use crate::{
    blocking,
    spec::{ResolvedJob, Violation},
    store::{NewSweep, Sweep, SweepSubmitted},
    submission::{SubmitError, Submitter, SubmittingClient, check_request_id},
    wire::{ParameterField, SpecMessage, SweepMessage},
};
use digits_checkpoint::serving::Policy;
use std::sync::Arc;
use tokio::sync::Notify;

/// Trials of one configuration.
const MAX_SEEDS: u32 = 100;
/// Violations that are reported of all trials together.
const MAX_VIOLATIONS: usize = 20;
/// Least and largest factor of successive halving.
const FACTORS: std::ops::RangeInclusive<u32> = 2..=16;

/// Accepts sweeps; cheap to clone.
#[derive(Clone)]
pub struct Sweeper {
    /// Checks jobs.
    pub submitter: Submitter,
    /// Wakes the task that runs sweeps.
    pub wake: Arc<Notify>,
}

/// The trials of a sweep.
struct Plan {
    rungs: Vec<Rung>,
    trials: Vec<NewTrial>,
    first: ResolvedJob,
}

impl Sweeper {
    /// Accepts a sweep, once per `request_id`; it is durable when this returns.
    ///
    /// # Errors
    /// [`SubmitError`]; what is wrong with the spec of a trial is below `spec.job`.
    pub async fn submit(
        &self,
        request_id: String,
        message: SweepMessage,
        client: SubmittingClient,
    ) -> Result<Sweep, SubmitError> {
        check_request_id(&request_id)?;
        let store = &self.submitter.store;
        if let Some(sweep) = store.find_sweep(&request_id, message.key()).await? {
            return Ok(sweep);
        }
        let id = SweepId::generate();
        let request = Arc::new(message.request());
        let plan = self.plan(Arc::clone(&request), id).await?;
        let model = plan.first.spec.model.clone().unwrap_or_default();
        let fields = request.parameters.iter().map(|it| it.field.clone());
        let new = NewSweep {
            id,
            request_id,
            message,
            name: request.job.request().name,
            model,
            fields: fields.collect(),
            rungs: plan.rungs,
            trials: plan.trials,
            parent: plan.first.plan.parent,
            submitted_by: client.name,
        };
        match store.submit_sweep(new).await? {
            SweepSubmitted::Existing(sweep) => Ok(*sweep),
            SweepSubmitted::New(sweep) => {
                tracing::info!(sweep = %sweep.id, trials = sweep.total_trials, "sweep accepted");
                self.wake.notify_one();
                Ok(*sweep)
            }
        }
    }

    async fn plan(&self, request: Arc<SweepRequest>, id: SweepId) -> Result<Plan, SubmitError> {
        let asked = Arc::clone(&request);
        let making = unhurried(move || {
            check_request(&asked)?;
            configurations(&asked).map_err(SubmitError::Invalid)
        });
        let configurations = making.await?;
        // It gives what all trials have in common.
        let first = common(&request, configurations[0].spec.clone())?;
        let first = self.check(vec![first]).await?.remove(0);
        let rungs = plan_rungs(&request, configurations.len(), &first)?;
        let (epochs, common) = (rungs[0].epochs, first.clone());
        let making = unhurried(move || trials(&request, &configurations, &common, epochs));
        let trials = making.await?;
        let named = |trial: &NewTrial| trial.spec.of_trial(&id.to_string(), trial.number);
        let resolved = self.check(trials.iter().map(named).collect()).await?;
        let checked = trials.into_iter().zip(&resolved);
        let checked = checked.map(|(trial, resolved)| NewTrial {
            seed: resolved.spec.seed.unwrap_or_default(),
            epochs: resolved.plan.train.epochs,
            spec: named(&trial),
            ..trial
        });
        Ok(Plan {
            trials: checked.collect(),
            rungs,
            first,
        })
    }

    async fn check(&self, specs: Vec<SpecMessage>) -> Result<Vec<ResolvedJob>, SubmitError> {
        let checked = self.submitter.check(specs, MAX_VIOLATIONS).await;
        checked.map_err(|error| match error {
            SubmitError::Invalid(found) => SubmitError::Invalid(of_job(found)),
            other => other,
        })
    }
}

/// Runs `work`, which may take a moment for many trials, on a thread on which no task runs.
async fn unhurried<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SubmitError> + Send + 'static,
) -> Result<T, SubmitError> {
    blocking::on_storage(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "making the trials of a sweep panicked");
        Err(SubmitError::Internal)
    })
}

/// Violations of a job as those of a sweep's job.
fn of_job(found: Vec<Violation>) -> Vec<Violation> {
    let below = |field: &str| match field.strip_prefix("spec.") {
        Some(rest) => format!("spec.job.{rest}"),
        None => field.to_owned(),
    };
    let found = found.into_iter();
    found
        .map(|violation| Violation {
            field: below(&violation.field),
            message: violation.message,
        })
        .collect()
}

fn violation(field: &str, message: impl Into<String>) -> Violation {
    Violation {
        field: format!("spec.{field}"),
        message: message.into(),
    }
}

fn check_request(request: &SweepRequest) -> Result<(), SubmitError> {
    let mut found = Vec::new();
    let job = request.job.request();
    if request.seeds > MAX_SEEDS {
        let message = format!("must be at most {MAX_SEEDS}, not {}", request.seeds);
        found.push(violation("seeds", message));
    }
    if let Some(policy) = job.promotion
        && policy != Ok(Policy::Manual)
    {
        found.push(violation(
            "job.promotion",
            "must be MANUAL or not set: the trials of a sweep are not promoted automatically",
        ));
    }
    for label in ["sweep", "trial"] {
        if job.labels.contains_key(label) {
            let message = format!("must not have the key {label:?}, which the sweep sets");
            found.push(violation("job.labels", message));
        }
    }
    if let Some(halving) = request.halving
        && !FACTORS.contains(&halving.factor)
    {
        let (least, most) = FACTORS.into_inner();
        let message = format!("must be from {least} to {most}, not {}", halving.factor);
        found.push(violation("halving.factor", message));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(SubmitError::Invalid(found))
}

/// Sets a field whose name and value are those of this program.
fn set(spec: &SpecMessage, path: &str, value: &str) -> Result<SpecMessage, SubmitError> {
    let set = ParameterField::find(path, spec, spec).and_then(|field| field.set(spec, value));
    set.map_err(|error| {
        tracing::error!(%error, path, value, "a field of a trial cannot be set");
        SubmitError::Internal
    })
}

/// What every trial has: no automatic promotion, and one checkpoint unless the job says otherwise.
fn common(request: &SweepRequest, spec: SpecMessage) -> Result<SpecMessage, SubmitError> {
    let spec = set(&spec, "promotion", "manual")?;
    match request.job.request().publish {
        None => set(&spec, "publish.policy", "final"),
        Some(_) => Ok(spec),
    }
}

fn plan_rungs(
    request: &SweepRequest,
    configurations: usize,
    first: &ResolvedJob,
) -> Result<Vec<Rung>, SubmitError> {
    let count = u32::try_from(configurations).unwrap_or(u32::MAX);
    let Some(halving) = request.halving else {
        return Ok(vec![Rung {
            epochs: 0,
            configurations: count,
        }]);
    };
    let epochs = first.plan.train.epochs;
    let rungs = rungs(halving, count, epochs);
    if rungs.len() == 1 {
        let message = format!(
            "needs at least {factor} configurations, and at least {factor} times {min} epochs: there are {count} and \
             {epochs}",
            factor = halving.factor,
            min = halving.min_epochs
        );
        return Err(SubmitError::Invalid(vec![violation("halving", message)]));
    }
    let all: u32 = rungs.iter().map(|rung| rung.configurations).sum();
    let trials = (all as usize).saturating_mul(request.seeds as usize);
    check_count(trials).map_err(SubmitError::Invalid)?;
    Ok(rungs)
}

/// The trials of the first rung, which trains for `epochs`, or for those of each spec where that is
/// 0.
fn trials(
    request: &SweepRequest,
    configurations: &[Configuration],
    first: &ResolvedJob,
    epochs: u32,
) -> Result<Vec<NewTrial>, SubmitError> {
    check_count(configurations.len().saturating_mul(request.seeds as usize))
        .map_err(SubmitError::Invalid)?;
    let first_seed = first.spec.seed.unwrap_or_default();
    let own = request.job.request();
    let mut trials = Vec::new();
    for (index, configuration) in configurations.iter().enumerate() {
        let mut spec = common(request, configuration.spec.clone())?;
        if let (Some(_), Some(pinned)) = (&own.data.dataset, &first.spec.data.dataset) {
            spec = set(&spec, "data.dataset", pinned)?;
        }
        // So that all are validated on the same images.
        if configurations::varies_seed(request) && own.data.split_seed.is_none() {
            spec = set(&spec, "data.split_seed", &first_seed.to_string())?;
        }
        if epochs > 0 {
            spec = set(&spec, "epochs", &epochs.to_string())?;
        }
        for more in 0..request.seeds {
            let seed = first_seed.saturating_add(u64::from(more));
            let spec = match request.seeds {
                1 => spec.clone(),
                _ => set(&spec, "seed", &seed.to_string())?,
            };
            trials.push(NewTrial {
                number: trials.len() as u32 + 1,
                configuration: index as u32 + 1,
                values: configuration.values.clone(),
                seed,
                epochs,
                spec,
            });
        }
    }
    Ok(trials)
}
