//! Trains a job under a live progress bar.

use anyhow::{Context as _, Result, ensure};
use digits_client::{Error, TrainerClient, WatchNotice, WatchOptions};
use digits_proto::v1::{Job, JobSpec, JobState, watch_job_response::Event};
use indicatif::{ProgressBar, ProgressStyle};
use std::{collections::BTreeMap, time::Instant};
use uuid::Uuid;

/// A finished job, and when each sequence was published.
pub struct Run {
    /// The job.
    pub job: Job,
    /// When the event of each published serving record arrived.
    pub published: BTreeMap<u64, Instant>,
}

/// Submits a job and follows it to its end.
pub async fn run(trainer: &TrainerClient, spec: JobSpec) -> Result<Run> {
    let submitted = trainer.submit(Uuid::now_v7().to_string(), spec).await?;
    let progress = submitted.progress.context("a job has progress")?;
    let bar = ProgressBar::new(progress.steps).with_style(ProgressStyle::with_template(
        "{bar:40} step {pos}/{len}  {msg}",
    )?);
    let mut published = BTreeMap::new();
    let on_notice = |notice: WatchNotice<'_>| {
        if let WatchNotice::Event(event) = notice {
            match &event.event {
                Some(Event::Row(row)) => {
                    let validation = row.validation.unwrap_or_default();
                    bar.set_position(row.step);
                    bar.set_message(format!(
                        "epoch {}  loss {:.4}  validation {:.4}, {:.1} %",
                        row.epoch,
                        row.train_loss,
                        validation.loss_batch_mean,
                        100.0 * validation.accuracy
                    ));
                }
                Some(Event::CheckpointPublished(checkpoint)) => {
                    published.insert(checkpoint.sequence, Instant::now());
                }
                _ => {}
            }
        }
        Ok::<(), Error>(())
    };
    let options = WatchOptions::default();
    trainer.watch(&submitted.job_id, options, on_notice).await?;
    bar.finish_and_clear();
    let job = trainer.job(&submitted.job_id).await?;
    ensure!(
        job.state() == JobState::Succeeded,
        "the job ended badly: {}",
        job.error
    );
    Ok(Run { job, published })
}
