//! Watches a sweep to its end: a line for each trial that ends, above a progress bar, then the
//! results.

use super::results;
use crate::context::Context;
use digits_cli::{Error, format};
use digits_client::TrainerClient;
use digits_proto::{
    json,
    v1::{Sweep, SweepState, Trial, TrialState},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

/// Interval at which the sweep is read.
const INTERVAL: Duration = Duration::from_secs(1);
const TEMPLATE: &str = "{bar:20} {pos}/{len} trials  {elapsed}  {wide_msg}";

/// Watches a sweep; Ctrl-C leaves it running.
pub async fn follow(sweep: Sweep, context: &Context) -> Result<(), Error> {
    let trainer = context.trainer()?;
    let id = sweep.sweep_id.clone();
    let mut screen = Screen::new(&sweep, context);
    let result = tokio::select! {
        result = watch(sweep, &trainer, &mut screen) => result,
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
    };
    screen.bar.finish_and_clear();
    let sweep = result.inspect_err(|_| {
        context.hint(&format!(
            "the sweep continues: `digits sweep watch {id}` shows it, `digits sweep cancel {id}` stops it"
        ));
    })?;
    context.show(
        || json!({ "sweep": json::display(&sweep) }),
        || results::lines(&sweep, context),
    )?;
    match sweep.state() {
        SweepState::Succeeded => Ok(()),
        _ => Err(Error::Negative(format!(
            "sweep {id} {}",
            format::sweep_state(&sweep)
        ))),
    }
}

async fn watch(
    mut sweep: Sweep,
    trainer: &TrainerClient,
    screen: &mut Screen<'_>,
) -> Result<Sweep, Error> {
    loop {
        screen.show(&sweep)?;
        if sweep.state() != SweepState::Running {
            return Ok(sweep);
        }
        tokio::time::sleep(INTERVAL).await;
        sweep = trainer.sweep(&sweep.sweep_id).await?;
    }
}

struct Screen<'a> {
    context: &'a Context,
    bar: ProgressBar,
    /// Numbers of the trials whose ends were printed.
    printed: BTreeSet<u32>,
}

impl<'a> Screen<'a> {
    fn new(sweep: &Sweep, context: &'a Context) -> Self {
        let bar = match context.json {
            true => ProgressBar::hidden(),
            // It draws itself on standard error, and only where that is a terminal.
            false => ProgressBar::new(sweep.total_trials.into()),
        };
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars(context.style.choose("━╸─", "=> ")));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            context,
            bar,
            printed: BTreeSet::new(),
        }
    }

    fn show(&mut self, sweep: &Sweep) -> Result<(), Error> {
        let ended = sweep.trials.iter().filter(|trial| has_ended(trial));
        for trial in ended.filter(|trial| self.printed.insert(trial.number)) {
            match self.context.json {
                true => self
                    .context
                    .document(&json!({ "trial": json::display(trial) }))?,
                false => {
                    let line = results::ended(trial, &sweep.fields);
                    self.bar.suspend(|| self.context.print([line]))?;
                }
            }
        }
        self.bar.set_length(sweep.total_trials.into());
        self.bar.set_position(sweep.ended_trials.into());
        let running = sweep
            .trials
            .iter()
            .filter(|it| it.state() == TrialState::Running);
        let best = sweep.best.as_ref().and_then(|trial| trial.validation);
        let best = best.map_or_else(String::new, |it| {
            format!(", best {}", results::accuracy(it.accuracy))
        });
        self.bar
            .set_message(format!("{} running{best}", running.count()));
        Ok(())
    }
}

/// Whether the trial is over and its result is known, if it has one.
fn has_ended(trial: &Trial) -> bool {
    match trial.state() {
        TrialState::Succeeded => trial.validation.is_some(),
        state => matches!(state, TrialState::Failed | TrialState::Cancelled),
    }
}
