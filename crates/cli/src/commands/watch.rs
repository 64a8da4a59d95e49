//! `digits watch`: prints rows of the curves as they arrive, above a progress bar.

mod pace;

use super::promotion;
use crate::{args::Watch, context::Context, lookup};
use digits_cli::{Error, format};
use digits_client::{WatchNotice, WatchOptions};
use digits_proto::{
    json,
    v1::{CurveRow, Job, JobFinished, JobState, WatchJobResponse, watch_job_response::Event},
};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use pace::Pace;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const TEMPLATE: &str = "{bar:20} {percent:>3} %  step {pos}/{len}  {left}  {wide_msg}";

/// Runs the command.
pub async fn run(args: Watch, context: &Context) -> Result<(), Error> {
    let trainer = context.trainer()?;
    let id = lookup::job_id(&args.job, &trainer).await?;
    let job = trainer.job(&id).await?;
    follow(&job, args.after_sequence, context).await
}

/// Watches a job to its end; Ctrl-C leaves it running.
pub async fn follow(job: &Job, after_sequence: u64, context: &Context) -> Result<(), Error> {
    let trainer = context.trainer()?;
    let mut screen = Screen::new(job, context);
    let options = WatchOptions {
        after_sequence,
        ..WatchOptions::default()
    };
    let watching = trainer.watch(&job.job_id, options, |notice| screen.show(&notice));
    let result = tokio::select! {
        result = watching => result,
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
    };
    screen.bar.finish_and_clear();
    if matches!(result, Err(Error::Interrupted)) {
        let id = &job.job_id;
        context.hint(&format!(
            "the job continues: `digits watch {id}` shows it, `digits cancel {id}` stops it"
        ));
    }
    let finished = result?;
    let outcome = finish(&job.job_id, &finished, context);
    if !context.json {
        // The end is shown even if the trainer has just become unreachable.
        let job = trainer.job(&job.job_id).await.unwrap_or_default();
        let newest = job.promotion.as_ref().map(|it| &it.checkpoint_id);
        if newest != screen.advised.as_ref() {
            context.print(promotion::summary(&job))?;
        }
    }
    outcome
}

fn finish(job_id: &str, finished: &JobFinished, context: &Context) -> Result<(), Error> {
    let state = format::state(finished.state);
    if finished.state() != JobState::Succeeded {
        let cause = if finished.error.is_empty() {
            String::new()
        } else {
            format!(": {}", finished.error)
        };
        return Err(Error::Negative(format!("job {job_id} {state}{cause}")));
    }
    if context.json {
        return Ok(());
    }
    let test = finished.test.map_or_else(String::new, |test| {
        format!(
            ": test accuracy {}, loss {:.6} ({} images)",
            format::percent(test.accuracy),
            test.loss_batch_mean,
            format::grouped(test.images)
        )
    });
    context.print([format!("{state}{test}")])
}

/// A watch on the screen: lines on standard output above a progress bar on standard error.
struct Screen<'a> {
    context: &'a Context,
    job: &'a Job,
    bar: ProgressBar,
    pace: Arc<Mutex<Pace>>,
    epochs: u32,
    headed: bool,
    /// The checkpoint that the last lines about a replaced or held one were about.
    advised: Option<String>,
    /// Their reason.
    advised_for: Option<i32>,
}

impl<'a> Screen<'a> {
    fn new(job: &'a Job, context: &'a Context) -> Self {
        let progress = job.progress.unwrap_or_default();
        let bar = match context.json {
            true => ProgressBar::hidden(),
            // It draws itself on standard error, and only where that is a terminal.
            false => ProgressBar::new(progress.steps),
        };
        let running = job.state() == JobState::Running;
        let pace = Pace::new(progress.step, progress.steps, running, Instant::now());
        let pace = Arc::new(Mutex::new(pace));
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            let style = style.with_key("left", left(Arc::clone(&pace)));
            bar.set_style(style.progress_chars(context.style.choose("━╸─", "=> ")));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar.set_message(format::state(job.state));
        Self {
            context,
            job,
            bar,
            pace,
            epochs: progress.epochs,
            headed: false,
            advised: None,
            advised_for: None,
        }
    }

    fn show(&mut self, notice: &WatchNotice<'_>) -> Result<(), Error> {
        match notice {
            WatchNotice::Event(event) if self.context.json => {
                self.context.document(&json::display(*event))
            }
            WatchNotice::Event(event) => self.event(event),
            WatchNotice::Interrupted { reason, pause } => {
                let text = format!(
                    "lost the trainer ({reason}); trying again in {}",
                    format::duration(*pause)
                );
                self.with_pace(Pace::pause);
                self.bar.suspend(|| self.context.hint(&text));
                Ok(())
            }
        }
    }

    fn event(&mut self, event: &WatchJobResponse) -> Result<(), Error> {
        match &event.event {
            Some(Event::Row(row)) => self.row(row),
            Some(Event::StateChanged(change)) => {
                let device = match change.device.as_str() {
                    "" => String::new(),
                    device => format!(" on {device}"),
                };
                if change.state() == JobState::Queued {
                    self.with_pace(Pace::pause);
                }
                self.bar.set_message(format::state(change.state));
                let reason = match change.reason.as_str() {
                    "" => String::new(),
                    reason => format!(": {reason}"),
                };
                let state = format::state(change.state);
                self.print(vec![format!("{state}{device}{reason}")])
            }
            Some(Event::CheckpointPublished(published)) => {
                let mut lines = promotion::published(published, self.job);
                if lines.len() > 1 {
                    let reason = published.promotion.as_ref().map(|it| it.not_promoted);
                    // Once for each reason: a long job publishes many.
                    if published.sequence == 0 && self.advised_for == reason {
                        lines.truncate(1);
                    } else {
                        self.advised_for = reason;
                        self.advised = Some(published.checkpoint_id.clone());
                    }
                }
                self.print(lines)
            }
            Some(Event::PublishingChanged(change)) => self.print(vec![match &change.publishing {
                Some(waiting) => format::publishing(waiting),
                None => "the checkpoint is published".to_owned(),
            }]),
            Some(Event::Finished(_) | Event::Heartbeat(_)) | None => Ok(()),
        }
    }

    fn row(&mut self, row: &CurveRow) -> Result<(), Error> {
        let validation = row.validation.unwrap_or_default();
        let accuracy = format::percent(validation.accuracy);
        let rate = format::grouped(row.samples_per_second.max(0.0) as u64);
        self.with_pace(|pace| pace.at_step(row.step, Instant::now()));
        self.bar.set_position(row.step);
        let epoch = format!("epoch {}/{}  {accuracy}", row.epoch, self.epochs);
        self.bar.set_message(epoch);
        let mut lines = Vec::new();
        if !self.headed {
            self.headed = true;
            lines.push(" epoch    step  train loss    val loss  accuracy   images/s".to_owned());
        }
        lines.push(format!(
            "{:>6}{:>8}{:>12.6}{:>12.6}{accuracy:>10}{rate:>11}",
            row.epoch, row.step, row.train_loss, validation.loss_batch_mean,
        ));
        self.print(lines)
    }

    fn print(&self, lines: Vec<String>) -> Result<(), Error> {
        self.bar.suspend(|| self.context.print(lines))
    }

    fn with_pace(&self, change: impl FnOnce(&mut Pace)) {
        change(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Writes the time that the job still needs, whenever the progress bar is drawn.
fn left(pace: Arc<Mutex<Pace>>) -> impl Fn(&ProgressState, &mut dyn fmt::Write) + Clone {
    move |_, out| {
        let pace = *pace.lock().unwrap_or_else(PoisonError::into_inner);
        // A failed write is the progress bar's to report.
        let _ = match pace.remaining(Instant::now()) {
            Some(left) => write!(out, "{} left", format::duration(left)),
            None => write!(out, "time left unknown"),
        };
    }
}
