//! A job whose trainer is killed: its events so far, and its progress between two kills.

use anyhow::{Context as _, Result, ensure};
use digits_proto::v1::{
    WatchJobRequest, WatchJobResponse, training_service_client::TrainingServiceClient,
    watch_job_response::Event,
};
use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};
use tonic::transport::Channel;

/// Offset of the step in a bundle: after 16 bytes for the format and a SHA-256.
const BUNDLE_STEP: Range<usize> = 48..56;

/// Where the bundles of jobs are.
pub struct BundleFolders {
    /// The trainer's own.
    pub state: PathBuf,
    /// Those of worker processes.
    pub storage: PathBuf,
}

/// A job that was, or may have been, accepted.
pub struct Victim {
    /// Its idempotency key.
    pub request_id: String,
    /// Index of its spec.
    pub kind: usize,
    /// Its id, once it is known.
    pub job_id: Option<String>,
    /// Every received event, in order.
    pub events: Vec<WatchJobResponse>,
    /// The highest step of its resume bundle at a kill.
    step: u64,
    /// Kills since that step grew.
    pub deaths_without_progress: u32,
}

impl Victim {
    /// A job to be submitted.
    #[must_use]
    pub fn new(request_id: String, kind: usize) -> Self {
        Self {
            request_id,
            kind,
            job_id: None,
            events: Vec::new(),
            step: 0,
            deaths_without_progress: 0,
        }
    }

    /// Records that it was accepted. An existing bundle is no progress: it may be older than the
    /// last kill.
    pub fn is_known_as(&mut self, job_id: String, folders: &BundleFolders) {
        self.job_id = Some(job_id);
        self.step = self.bundle_step(folders);
    }

    /// Whether its final event was received.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let last = self.events.last().and_then(|event| event.event.as_ref());
        matches!(last, Some(Event::Finished(_)))
    }

    /// Appends received events: without gaps or duplicates, and none after the final one.
    pub fn hear(&mut self, events: Vec<WatchJobResponse>) -> Result<()> {
        for event in events {
            let expected = self.events.len() as u64 + 1;
            ensure!(
                event.sequence == expected && !self.has_ended(),
                "job {:?}: event {} where {expected} was to come",
                self.job_id,
                event.sequence
            );
            self.events.push(event);
        }
        Ok(())
    }

    /// Records after a kill whether its bundle has progressed since the previous kill.
    pub fn note_death(&mut self, folders: &BundleFolders) {
        let step = self.bundle_step(folders);
        if step > self.step {
            self.step = step;
            self.deaths_without_progress = 0;
        }
        self.deaths_without_progress += 1;
    }

    /// Whether its bundle has progressed since the last kill.
    #[must_use]
    pub fn got_further(&self, folders: &BundleFolders) -> bool {
        self.bundle_step(folders) > self.step
    }

    /// The step in its newest bundle, and 0 without one. A bundle may also be of step 0: the
    /// trainer writes it before the first step, and counts it as no progress.
    fn bundle_step(&self, folders: &BundleFolders) -> u64 {
        let Some(id) = &self.job_id else {
            return 0;
        };
        let file = folders.state.join("bundles").join(format!("{id}.bundle"));
        let own = step_in(&file);
        // The newest one of a worker may not be reported yet, the one before it is.
        let attempts = entries(&folders.storage.join("runs").join(id)).into_iter();
        let reported = attempts.filter_map(|attempt| {
            let mut bundles = entries(&attempt.join("bundles"));
            bundles.sort();
            bundles.pop();
            bundles.pop().map(|bundle| step_in(&bundle))
        });
        reported.max().unwrap_or(0).max(own)
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

fn step_in(file: &Path) -> u64 {
    let bytes = fs::read(file).unwrap_or_default();
    let step = bytes.get(BUNDLE_STEP).and_then(|step| step.try_into().ok());
    step.map_or(0, u64::from_le_bytes)
}

/// Watches a job from `after` on until its end or until the stream breaks; returns the events.
pub async fn listen(
    mut training: TrainingServiceClient<Channel>,
    job_id: String,
    after: u64,
) -> Result<Vec<WatchJobResponse>> {
    let request = WatchJobRequest {
        job_id,
        after_sequence: after,
    };
    let mut heard = Vec::new();
    let mut events = match training.watch_job(request).await {
        Ok(answer) => answer.into_inner(),
        // Killed before it responded; any other error is wrong.
        Err(status) => return cut(status).map(|()| heard).context("the watch was refused"),
    };
    loop {
        match events.message().await {
            Ok(Some(event)) if matches!(event.event, Some(Event::Heartbeat(_))) => {}
            Ok(Some(event)) => {
                let last = matches!(event.event, Some(Event::Finished(_)));
                heard.push(event);
                if last {
                    return Ok(heard);
                }
            }
            Ok(None) => anyhow::bail!("the watch ended without a finished event"),
            Err(status) => return cut(status).map(|()| heard),
        }
    }
}

/// Whether the error is that of a killed or stopping process.
fn cut(status: tonic::Status) -> Result<()> {
    use tonic::Code::{Cancelled, Internal, Unavailable, Unknown};
    ensure!(
        matches!(status.code(), Unavailable | Unknown | Internal | Cancelled),
        "{status}"
    );
    Ok(())
}
