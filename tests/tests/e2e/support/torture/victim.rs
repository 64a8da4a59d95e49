//! A job under torture: what was heard of it so far, and whether it gets further between two deaths.

use anyhow::{Context as _, Result, ensure};
use digits_proto::v1::{
    WatchJobRequest, WatchJobResponse, training_service_client::TrainingServiceClient,
    watch_job_response::Event,
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};
use tonic::transport::Channel;

/// A job that was accepted, or may have been.
pub struct Victim {
    /// Its idempotency key.
    pub request_id: String,
    /// Which of the specs it has.
    pub kind: usize,
    /// Its id, once it is known.
    pub job_id: Option<String>,
    /// Every event that was heard, in order.
    pub events: Vec<WatchJobResponse>,
    /// When its bundle was written that the last death found.
    bundle: Option<SystemTime>,
    /// Deaths since that changed.
    pub deaths_without_progress: u32,
}

impl Victim {
    /// One that is about to be submitted.
    #[must_use]
    pub fn new(request_id: String, kind: usize) -> Self {
        Self {
            request_id,
            kind,
            job_id: None,
            events: Vec::new(),
            bundle: None,
            deaths_without_progress: 0,
        }
    }

    /// It was accepted. A bundle that is there already counts as no progress: it may be older than the last death.
    pub fn is_known_as(&mut self, job_id: String, state: &Path) {
        self.job_id = Some(job_id);
        self.bundle = self.bundle_time(state);
    }

    /// Whether its last event was heard.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let last = self.events.last().and_then(|event| event.event.as_ref());
        matches!(last, Some(Event::Finished(_)))
    }

    /// Takes over what was heard of it: no gap, no double, nothing after its end.
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

    /// The process died: notes whether a bundle was written since the death before.
    pub fn note_death(&mut self, state: &Path) {
        let now = self.bundle_time(state);
        if now > self.bundle {
            self.bundle = now;
            self.deaths_without_progress = 0;
        }
        self.deaths_without_progress += 1;
    }

    /// Whether a bundle was written since the last death.
    #[must_use]
    pub fn got_further(&self, state: &Path) -> bool {
        self.bundle_time(state) > self.bundle
    }

    fn bundle_time(&self, state: &Path) -> Option<SystemTime> {
        let id = self.job_id.as_ref()?;
        let file: PathBuf = state.join("bundles").join(format!("{id}.bundle"));
        fs::metadata(file).ok()?.modified().ok()
    }
}

/// Listens to a job from `after` on, until its end or until the stream is cut; what was heard.
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
        // Killed before it answered; every other refusal is wrong.
        Err(status) => return cut(status).map(|()| heard).context("the watch was refused"),
    };
    loop {
        match events.message().await {
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

/// What a client sees of a process that dies or is told to end.
fn cut(status: tonic::Status) -> Result<()> {
    use tonic::Code::{Cancelled, Internal, Unavailable, Unknown};
    ensure!(
        matches!(status.code(), Unavailable | Unknown | Internal | Cancelled),
        "{status}"
    );
    Ok(())
}
