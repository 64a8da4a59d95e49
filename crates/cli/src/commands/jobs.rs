//! `digits jobs` and `digits cancel`: lists jobs, shows one, stops one.

mod details;
mod list;

use super::promotion;
use crate::{
    args::{JobId, Jobs},
    context::Context,
    lookup,
    served::Served,
};
use digits_cli::{Error, format, registry::Registry};
use digits_proto::json;

/// Runs `digits jobs`.
pub async fn run(args: Jobs, context: &Context) -> Result<(), Error> {
    let trainer = context.trainer()?;
    let Some(text) = &args.job else {
        return list::run(args, &trainer, context).await;
    };
    let id = lookup::job_id(text, &trainer).await?;
    let job = trainer.job(&id).await?;
    if context.json {
        return context.document(&json::display(&job));
    }
    let registry = Registry::Trainer(trainer);
    let served = Served::jobs(std::slice::from_ref(&job), &registry).await;
    let served = served.map_or_else(|error| context.unknown_serving(&error), Some);
    let mut lines = details::lines(&job, served.as_ref(), context.width());
    lines.extend(promotion::summary(&job));
    context.print(lines)
}

/// Runs `digits cancel`.
pub async fn cancel(args: JobId, context: &Context) -> Result<(), Error> {
    let trainer = context.trainer()?;
    let id = lookup::job_id(&args.job, &trainer).await?;
    let job = trainer.cancel(&id).await?;
    let line = || match job.cancel_requested {
        true => format!("job {} stops at its next step", job.job_id),
        false => format!("job {} is {}", job.job_id, format::state(job.state)),
    };
    let lines = || {
        let mut lines = vec![line()];
        lines.extend(promotion::summary(&job));
        lines
    };
    context.show(|| json::display(&job), lines)
}
