//! `digits train`: submits a job, with retries that make no second one, and watches it.

use super::{spec, watch};
use crate::{
    args::{Optimizer, Train},
    context::Context,
    lookup,
};
use digits_cli::{Error, format, registry::Registry};
use digits_client::{RetryPolicy, TrainerClient};
use digits_proto::{
    json,
    v1::{JobSpec, job_spec},
};
use serde_json::json;
use std::time::Duration;

/// Retries of the submission: about three seconds, for a trainer that is just starting.
pub const SUBMISSION: RetryPolicy = RetryPolicy {
    attempts: 5,
    first_pause: Duration::from_millis(200),
    longest_pause: Duration::from_secs(2),
    notice: Some(|_, _| eprintln!("the trainer does not answer yet; trying again")),
};

/// Runs the command.
pub async fn run(mut args: Train, context: &Context) -> Result<(), Error> {
    let trainer = context.trainer()?;
    let spec = job_spec(&mut args, &trainer).await?;
    let request_id = request_id(&args);
    let trainer = trainer.with_retry(SUBMISSION);
    let job = trainer.submit(request_id, spec).await?;
    let line = || {
        let size = job.network.as_ref().map(format::network);
        let state = format::state(job.state);
        format!("job {}  {state}  {}", job.job_id, size.unwrap_or_default())
    };
    context.show(|| json!({ "job": json::display(&job) }), || vec![line()])?;
    if args.detach {
        if !context.json {
            context.hint(&format!("watch it with: digits watch {}", job.job_id));
        }
        return Ok(());
    }
    watch::follow(&job, 0, context).await
}

/// The job spec of a command line, with the id of the checkpoint that it starts from.
pub async fn job_spec(args: &mut Train, trainer: &TrainerClient) -> Result<JobSpec, Error> {
    if let Some(text) = &args.init_from {
        let model = args.model.as_deref().unwrap_or_default();
        let registry = Registry::Trainer(trainer.clone());
        args.init_from = Some(lookup::checkpoint_id(text, model, &registry).await?);
    }
    let preset = match spec::needs_preset(args) {
        true => preset_optimizer(trainer, &args.preset).await,
        false => None,
    };
    spec::spec(args, preset)
}

/// The key of idempotency: the given one, or a random one.
pub fn request_id(args: &Train) -> String {
    let given = args.request_id.clone();
    given.unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
}

/// The optimizer of a preset; `None` where the trainer does not know the preset or cannot
/// answer.
async fn preset_optimizer(trainer: &TrainerClient, name: &str) -> spec::PresetOptimizer {
    let presets = trainer.presets().await.ok()?;
    let preset = presets.into_iter().find(|it| it.name == name)?;
    match preset.spec?.optimizer? {
        job_spec::Optimizer::Sgd(_) => Some(Optimizer::Sgd),
        job_spec::Optimizer::Adamw(_) => Some(Optimizer::Adamw),
    }
}
