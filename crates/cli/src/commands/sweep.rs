//! `digits sweep`: submits a group of jobs that differ in some fields, watches, lists and shows it,
//! stops it, and serves its best checkpoint.

mod results;
mod watch;

use super::{serving, train};
use crate::{
    args::{
        Change, Grid, ListSweeps, PromoteTrial, Range, SubmitSweep, Sweep, SweepCommand, SweepId,
    },
    context::Context,
    lookup,
};
use digits_cli::{
    Error, format,
    render::{Column, Table},
};
use digits_proto::{json, v1};
use jiff::Timestamp;
use serde_json::json;

/// Runs the command.
pub async fn run(args: Sweep, context: &Context) -> Result<(), Error> {
    match args.command {
        None => submit(args.submit, context).await,
        Some(SweepCommand::List(args)) => list(args, context).await,
        Some(SweepCommand::Show(args)) => show(args, context).await,
        Some(SweepCommand::Watch(args)) => {
            let sweep = find(&args.sweep, context).await?;
            watch::follow(sweep, context).await
        }
        Some(SweepCommand::Cancel(args)) => cancel(args, context).await,
        Some(SweepCommand::Promote(args)) => promote(args, context).await,
    }
}

async fn submit(mut args: SubmitSweep, context: &Context) -> Result<(), Error> {
    if args.grid.is_empty() && args.range.is_empty() && args.log_range.is_empty() && args.seeds == 1
    {
        return Err(Error::Usage(
            "nothing differs between the trials: give --grid FIELD=VALUE,VALUE, --range with --random, or --seeds"
                .to_owned(),
        ));
    }
    let trainer = context.trainer()?;
    let job = train::job_spec(&mut args.train, &trainer).await?;
    let (request_id, detach) = (train::request_id(&args.train), args.train.detach);
    let spec = spec(args, job);
    let sweep = trainer
        .with_retry(train::SUBMISSION)
        .submit_sweep(request_id, spec)
        .await?;
    let line = || {
        let trials = format::grouped(sweep.total_trials.into());
        format!("sweep {}  {trials} trials", sweep.sweep_id)
    };
    context.show(
        || json!({ "sweep": json::display(&sweep) }),
        || vec![line()],
    )?;
    if detach {
        if !context.json {
            context.hint(&format!(
                "watch it with: digits sweep watch {}",
                sweep.sweep_id
            ));
        }
        return Ok(());
    }
    watch::follow(sweep, context).await
}

fn spec(args: SubmitSweep, job: v1::JobSpec) -> v1::SweepSpec {
    let values = args
        .grid
        .into_iter()
        .map(|Grid { field, values }| v1::SweepParameter {
            field,
            values,
            range: None,
        });
    let of_range = |log: bool| {
        move |Range { field, low, high }| v1::SweepParameter {
            field,
            values: Vec::new(),
            range: Some(v1::SweepRange { low, high, log }),
        }
    };
    let ranges = args.range.into_iter().map(of_range(false));
    let log_ranges = args.log_range.into_iter().map(of_range(true));
    v1::SweepSpec {
        job: Some(job),
        parameters: values.chain(ranges).chain(log_ranges).collect(),
        seeds: args.seeds,
        random: args.random.map(|configurations| v1::RandomSearch {
            configurations,
            seed: args.random_seed,
        }),
        halving: args.halving.map(|factor| v1::SuccessiveHalving {
            factor,
            min_epochs: args.min_epochs,
        }),
    }
}

async fn find(text: &str, context: &Context) -> Result<v1::Sweep, Error> {
    let trainer = context.trainer()?;
    let id = lookup::sweep_id(text, &trainer).await?;
    Ok(trainer.sweep(&id).await?)
}

async fn show(args: SweepId, context: &Context) -> Result<(), Error> {
    let sweep = find(&args.sweep, context).await?;
    context.show(|| json::display(&sweep), || results::lines(&sweep, context))
}

async fn cancel(args: SweepId, context: &Context) -> Result<(), Error> {
    let trainer = context.trainer()?;
    let id = lookup::sweep_id(&args.sweep, &trainer).await?;
    let sweep = trainer.cancel_sweep(&id).await?;
    let line = || match sweep.cancel_requested {
        true => format!("sweep {id} stops: its jobs end at their next steps"),
        false => format!("sweep {id} is {}", format::sweep_state(&sweep)),
    };
    context.show(|| json::display(&sweep), || vec![line()])
}

async fn promote(args: PromoteTrial, context: &Context) -> Result<(), Error> {
    let sweep = find(&args.sweep, context).await?;
    let id = &sweep.sweep_id;
    let chosen = match args.trial {
        None => sweep.best.as_ref().ok_or_else(|| {
            Error::Negative(format!(
                "sweep {id} has no result yet: `digits sweep show {id}` shows its trials"
            ))
        })?,
        Some(number) => {
            let mut trials = sweep.trials.iter();
            let found = trials.find(|trial| trial.number == number);
            let found = found.filter(|trial| !trial.checkpoint_id.is_empty());
            found.ok_or_else(|| {
                Error::Negative(format!(
                    "trial {number} of sweep {id} has no checkpoint: `digits sweep show {id}` shows its trials"
                ))
            })?
        }
    };
    if sweep.state() == v1::SweepState::Running {
        context.hint(&format!(
            "the sweep is still running; trial {} is its best so far",
            chosen.number
        ));
    }
    let change = Change {
        model: sweep.model.clone(),
        expected_sequence: args.expected_sequence,
        by: args.by,
    };
    let changed = serving::serve(chosen.checkpoint_id.clone(), change, context).await?;
    changed.show(context)
}

async fn list(args: ListSweeps, context: &Context) -> Result<(), Error> {
    let trainer = context.trainer()?;
    let sweeps = trainer.sweeps(args.limit).await?;
    if context.json {
        return context.document(&json!({ "sweeps": json::display_all(&sweeps) }));
    }
    if sweeps.is_empty() {
        context.hint("no sweeps: `digits sweep` submits one");
        return Ok(());
    }
    context.print(context.table(&table(&sweeps, Timestamp::now())))
}

fn table(sweeps: &[v1::Sweep], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        ("sweep", Column::Word),
        ("state", Column::Word),
        ("trials", Column::Number),
        ("best", Column::Number),
        ("age", Column::Number),
        ("fields", Column::Text),
        ("name", Column::Text),
    ]);
    for sweep in sweeps {
        let job = sweep.spec.as_ref().and_then(|spec| spec.job.as_ref());
        let best = sweep.best.as_ref().and_then(|trial| trial.validation);
        table.row(vec![
            sweep.sweep_id.clone(),
            format::sweep_state(sweep),
            format!("{}/{}", sweep.ended_trials, sweep.total_trials),
            best.map_or_else(|| "-".to_owned(), |it| results::accuracy(it.accuracy)),
            format::age(sweep.created_at.as_ref(), now),
            sweep.fields.join(", "),
            job.map(|job| job.name.clone()).unwrap_or_default(),
        ]);
    }
    table
}
