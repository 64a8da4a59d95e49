//! A job with a live progress bar.

use anyhow::{Context as _, Result, ensure};
use digits_cli::watch::{self, Notice, Options};
use digits_proto::v1::{
    Job, JobSpec, JobState, training_service_client::TrainingServiceClient,
    watch_job_response::Event,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{collections::BTreeMap, time::Instant};
use tonic::transport::Channel;

/// A finished job, and when each sequence was published.
pub struct Run {
    /// The job.
    pub job: Job,
    /// When the news of each published serving record came.
    pub published: BTreeMap<u64, Instant>,
}

/// Submits a job and follows it to its end.
pub async fn run(mut training: TrainingServiceClient<Channel>, spec: JobSpec) -> Result<Run> {
    let submitted = crate::jobs::submit(&mut training, spec).await?;
    let progress = submitted.progress.context("a job has progress")?;
    let bar = ProgressBar::new(progress.steps).with_style(ProgressStyle::with_template(
        "{bar:40} step {pos}/{len}  {msg}",
    )?);
    let mut published = BTreeMap::new();
    let options = Options::default();
    watch::watch(training.clone(), &submitted.job_id, options, |notice| {
        if let Notice::Event(event) = notice {
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
        Ok(())
    })
    .await?;
    bar.finish_and_clear();
    let job = crate::jobs::get(&mut training, &submitted.job_id).await?;
    ensure!(
        job.state() == JobState::Succeeded,
        "the job ended badly: {}",
        job.error
    );
    Ok(Run { job, published })
}
