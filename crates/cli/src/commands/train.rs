//! `digits train`: submits a job, safely more than once, and watches it.

use super::{filled, spec, watch};
use crate::{
    args::{Optimizer, Train},
    context::Context,
};
use digits_cli::{Error, Service, call::is_transport, credentials::Connection, json, secure, text};
use digits_proto::v1::{
    Job, ListPresetsRequest, SubmitJobRequest, job_spec,
    training_service_client::TrainingServiceClient,
};
use serde_json::json;
use std::time::Duration;
use tonic::Code;

/// Pauses between the attempts to submit.
const PAUSES_MS: [u64; 4] = [100, 300, 900, 1_800];

/// Runs the command.
pub async fn run(args: Train, context: &Context) -> Result<(), Error> {
    let mut client = context.endpoints.training()?;
    let preset = match spec::needs_preset(&args) {
        true => preset_optimizer(&mut client, &args.preset).await,
        false => None,
    };
    let spec = spec::spec(&args, preset)?;
    let request_id = args
        .request_id
        .unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let request = SubmitJobRequest {
        request_id,
        spec: Some(spec),
    };
    let job = submit(&mut client, request, context).await?;
    if context.json {
        context.document(&json!({ "job": json::of(&job) }))?;
    } else {
        let size = job.network.as_ref().map(text::network).unwrap_or_default();
        context.print([format!(
            "job {}  {}  {size}",
            job.job_id,
            text::state(job.state)
        )])?;
    }
    if args.detach {
        if !context.json {
            context.hint(&format!("watch it with: digits watch {}", job.job_id));
        }
        return Ok(());
    }
    watch::follow(&job, 0, context).await
}

/// Submits until the trainer has answered: with one request id, the job is made once however often this arrives.
async fn submit(
    client: &mut TrainingServiceClient<Connection>,
    request: SubmitJobRequest,
    context: &Context,
) -> Result<Job, Error> {
    let mut pauses = PAUSES_MS.iter();
    loop {
        let status = match client.submit_job(request.clone()).await {
            Ok(answer) => return filled(answer.into_inner().job, Service::Trainer, "job"),
            Err(status) => status,
        };
        let passing = status.code() == Code::Unavailable || is_transport(&status);
        // A certificate does not become right by waiting.
        let passing = passing && secure::reason(&status, "").is_none();
        match pauses.next() {
            Some(&pause) if passing => {
                context.hint("the trainer does not answer yet; trying again");
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            _ => return Err(Error::trainer(status)),
        }
    }
}

/// Which optimiser a preset has; `None` where the trainer does not tell.
async fn preset_optimizer(
    client: &mut TrainingServiceClient<Connection>,
    name: &str,
) -> spec::PresetOptimizer {
    let presets = client
        .list_presets(ListPresetsRequest {})
        .await
        .ok()?
        .into_inner()
        .presets;
    match presets
        .into_iter()
        .find(|it| it.name == name)?
        .spec?
        .optimizer?
    {
        job_spec::Optimizer::Sgd(_) => Some(Optimizer::Sgd),
        job_spec::Optimizer::Adamw(_) => Some(Optimizer::Adamw),
    }
}
