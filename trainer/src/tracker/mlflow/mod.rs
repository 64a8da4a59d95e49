//! Logs jobs to an MLflow server: each as a run with params and metrics, its checkpoints as
//! artifacts and as versions of a registered model, of which the alias `champion` is the one that
//! is served.
//!
//! What is on the server is looked up before it is created, so an event that comes again changes
//! nothing: runs and versions are found by a tag, and MLflow stores equal metrics once.

mod address;
mod client;
mod registry;
mod runs;

pub(super) use address::Credentials;
pub use address::TrackingUri;
pub(super) use client::Client;

use super::follow::{Batch, Failure, Tracker};
use crate::{
    job::{Event, JobId},
    metrics::TrackerMetrics,
    store::Store,
    wire,
};
use client::CallError;
use digits_checkpoint::{
    Storage,
    id::{CheckpointId, ModelName},
    manifest::Manifest,
    record::ServingRecord,
    serving,
};
use runs::{Run, Subject};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use tokio::time::Instant;

/// Metrics of a call.
const MAX_METRICS: usize = 1_000;
/// Runs that are remembered.
const MAX_RUNS: usize = 256;
/// Interval at which the serving log is looked at.
const SERVING_INTERVAL: Duration = Duration::from_secs(5);

/// The tracker of an MLflow server.
pub(super) struct Mlflow {
    pub(super) client: Client,
    /// Name of the experiment.
    pub(super) experiment: String,
    pub(super) store: Store,
    pub(super) storage: Storage,
    pub(super) metrics: TrackerMetrics,
    pub(super) known: Known,
}

/// What is known of the server.
#[derive(Default)]
pub(super) struct Known {
    experiment: Option<String>,
    runs: HashMap<JobId, Run>,
    /// Models with the serving record that the alias follows; nothing before they are read.
    models: Option<BTreeMap<ModelName, u64>>,
    /// When the serving log is looked at next.
    due: Option<Instant>,
    /// Whether the log has that artifacts are not uploaded.
    has_warned: bool,
}

impl Tracker for Mlflow {
    const NAME: &'static str = "mlflow";

    async fn take(&mut self, batch: Batch<'_>) -> Result<u64, Failure> {
        let job = batch.job;
        let Some(run) = self.run_of(&batch).await? else {
            return Ok(0);
        };
        if batch.position.event == 0 {
            let spec = wire::spec_fields(&job.resolved);
            for body in runs::params(&run, &spec) {
                self.log(job.id, "params", &body).await?;
            }
        }
        let mut metrics = Vec::new();
        for event in batch.events {
            match event {
                Event::Row(row) => metrics.extend(runs::row(row)),
                Event::Finished {
                    test: Some(test), ..
                } => {
                    let at_us = job.finished_us.unwrap_or(job.created_us);
                    metrics.extend(runs::test(test, at_us, job.step));
                }
                _ => {}
            }
        }
        for metrics in metrics.chunks(MAX_METRICS) {
            let body = json!({ "run_id": run.id, "metrics": metrics });
            self.log(job.id, "metrics", &body).await?;
        }
        for event in batch.events {
            match event {
                Event::CheckpointPublished { id, .. } => {
                    self.publish(&run, *id).await?;
                    self.known.due = None;
                }
                Event::Finished { state, error, .. } => {
                    if !error.is_empty() {
                        let tag =
                            json!({ "run_id": run.id, "key": "digits.error", "value": error });
                        let tagged = self.client.post("runs/set-tag", &tag).await;
                        self.accept("an error", tagged)?;
                    }
                    let at_us = job.finished_us.unwrap_or(job.created_us);
                    let ended = runs::end(&run, *state, at_us);
                    let ended = self.client.post("runs/update", &ended).await;
                    self.accept("the end of a run", ended)?;
                    self.known.runs.remove(&job.id);
                }
                _ => {}
            }
        }
        Ok(0)
    }

    async fn settle(&mut self) -> Result<(), Failure> {
        if self.known.due.is_some_and(|due| Instant::now() < due) {
            return Ok(());
        }
        if self.known.models.is_none() {
            let models = registry::models(&self.client).await?.into_iter();
            self.known.models = Some(models.map(|model| (model, 0)).collect());
        }
        let began = Instant::now();
        let models = self.known.models.iter().flat_map(BTreeMap::keys);
        let models: Vec<ModelName> = models.cloned().collect();
        for model in models {
            self.follow(&model).await?;
        }
        // Many models on a slow storage are looked at less often.
        let pause = SERVING_INTERVAL.max(10 * began.elapsed());
        self.known.due = Some(Instant::now() + pause);
        Ok(())
    }
}

impl Mlflow {
    /// The run of a batch's job; nothing, and that is counted, if somebody has deleted it.
    async fn run_of(&mut self, batch: &Batch<'_>) -> Result<Option<Run>, Failure> {
        let job = batch.job;
        if let Some(run) = self.known.runs.get(&job.id) {
            return Ok(Some(run.clone()));
        }
        let subject = Subject::job(job, &wire::spec_fields(&job.resolved));
        let experiment = self.experiment().await?;
        let run = match runs::find(&self.client, &experiment, &subject).await? {
            Some(run) if run.is_deleted => {
                self.drop_one("events of a job", "its run is in MLflow's trash");
                return Ok(None);
            }
            Some(run) => run,
            None if batch.position.event > 0 => {
                return Err(Failure::Lost("MLflow no longer has its run".to_owned()));
            }
            None => self.create(&experiment, &subject).await?,
        };
        if self.known.runs.len() >= MAX_RUNS {
            self.known.runs.clear();
        }
        self.known.runs.insert(job.id, run.clone());
        Ok(Some(run))
    }

    async fn create(&mut self, experiment: &str, subject: &Subject) -> Result<Run, Failure> {
        let created = runs::create(&self.client, experiment, subject).await;
        if created.is_err() {
            // It may be gone.
            self.known.experiment = None;
        }
        created.map_err(|error| match error {
            CallError::Refused { reason, .. } => Failure::Postponed(reason),
            CallError::Unavailable(reason) => Failure::Unavailable(reason),
        })
    }

    async fn experiment(&mut self) -> Result<String, Failure> {
        if self.known.experiment.is_none() {
            let id = runs::experiment(&self.client, &self.experiment).await?;
            self.known.experiment = Some(id);
        }
        Ok(self.known.experiment.clone().unwrap_or_default())
    }

    async fn log(&mut self, job: JobId, what: &str, body: &Value) -> Result<(), Failure> {
        let logged = self.client.post("runs/log-batch", body).await;
        if !self.accept(what, logged)? {
            // It may be deleted.
            self.known.runs.remove(&job);
        }
        Ok(())
    }

    /// Uploads a checkpoint and registers it as a version of its model, unless it is registered.
    async fn publish(&mut self, run: &Run, id: CheckpointId) -> Result<(), Failure> {
        let Some(manifest) = self.manifest(id).await? else {
            return Ok(());
        };
        let model = &manifest.model;
        if registry::version(&self.client, model, id).await?.is_none() {
            let Some(source) = self.upload(run, id).await? else {
                return Ok(());
            };
            let registered = registry::register(&self.client, model).await;
            self.accept("a model", registered)?;
            let created = registry::create_version(&self.client, &manifest, &run.id, &source).await;
            self.accept("a version of a model", created)?;
        }
        if let Some(models) = &mut self.known.models {
            models.entry(model.clone()).or_default();
        }
        Ok(())
    }

    /// Uploads the files of a checkpoint; returns where they are, or nothing if that is refused.
    async fn upload(&mut self, run: &Run, id: CheckpointId) -> Result<Option<String>, Failure> {
        let Some(path) = self.client.address().proxied(&run.artifact_uri) else {
            let artifact_uri = &run.artifact_uri;
            if !std::mem::replace(&mut self.known.has_warned, true) {
                tracing::warn!(
                    artifact_uri,
                    "checkpoints are not uploaded to MLflow, as its server is no proxy for artifacts (mlflow server --serve-artifacts): versions of models name them on the trainer's own storage"
                );
            }
            let storage = self.storage.url().trim_end_matches('/');
            return Ok(Some(format!("{storage}/checkpoints/{id}")));
        };
        let files = match digits_checkpoint::files(&self.storage, id).await {
            Ok(files) => files,
            Err(error) => {
                let reason = Failure::of_checkpoint(error)?;
                self.drop_one("a checkpoint", &reason);
                return Ok(None);
            }
        };
        for (name, bytes) in files {
            let file = format!("{path}/checkpoints/{id}/{name}");
            let uploaded = self.client.upload(&file, bytes).await;
            if !self.accept("a file of a checkpoint", uploaded)? {
                return Ok(None);
            }
        }
        Ok(Some(format!("{}/checkpoints/{id}", run.artifact_uri)))
    }

    /// Moves the alias of a model to the checkpoint that is served, if that has changed.
    async fn follow(&mut self, model: &ModelName) -> Result<(), Failure> {
        let postponed =
            |error: digits_checkpoint::StorageError| Failure::Postponed(error.to_string());
        let sequences = serving::list(&self.storage, model).await;
        let newest = sequences.map_err(postponed)?.last().copied().unwrap_or(0);
        let models = self.known.models.iter();
        let followed = models.flatten().find(|(name, _)| *name == model);
        if followed.is_some_and(|(_, followed)| *followed == newest) {
            return Ok(());
        }
        let record = match serving::record(&self.storage, model, newest).await {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(()),
            Err(error) => return Err(postponed(error)),
        };
        if !self.move_alias(model, &record).await? {
            return Ok(());
        }
        if let Some(models) = &mut self.known.models {
            models.insert(model.clone(), newest);
        }
        Ok(())
    }

    /// Returns whether the alias is where it belongs; it is not while the served checkpoint waits
    /// for its registration.
    async fn move_alias(
        &mut self,
        model: &ModelName,
        record: &ServingRecord,
    ) -> Result<bool, Failure> {
        let Some(id) = record.primary() else {
            let removed = registry::set_alias(&self.client, model, None).await;
            self.accept("an alias", removed)?;
            return Ok(true);
        };
        let mut version = registry::version(&self.client, model, id).await?;
        if version.is_none() {
            let Some(manifest) = self.manifest(id).await? else {
                return Ok(true);
            };
            let Some(run) = self.run_for(&manifest).await? else {
                return Ok(false);
            };
            self.publish(&run, id).await?;
            version = registry::version(&self.client, model, id).await?;
        }
        if let Some(version) = version {
            let moved = registry::set_alias(&self.client, model, Some(&version)).await;
            self.accept("an alias", moved)?;
        }
        Ok(true)
    }

    /// The run of a served checkpoint that is not registered: one of its own, unless its job is
    /// tracked; nothing while events of the job wait.
    async fn run_for(&mut self, manifest: &Manifest) -> Result<Option<Run>, Failure> {
        let failed = |error: crate::store::StoreError| Failure::Postponed(error.to_string());
        let job: Option<JobId> = manifest.lineage.job.as_ref().and_then(|id| id.parse().ok());
        let tracked = match job {
            Some(id) => self
                .store
                .is_tracked(Self::NAME, id)
                .await
                .map_err(failed)?,
            None => None,
        };
        let (subject, is_own) = match (job, tracked) {
            (_, Some(false)) => return Ok(None),
            (Some(id), Some(true)) => {
                let job = self.store.job(id).await.map_err(failed)?;
                (Subject::job(&job, &wire::spec_fields(&job.resolved)), false)
            }
            _ => (Subject::checkpoint(manifest), true),
        };
        let experiment = self.experiment().await?;
        if let Some(run) = runs::find(&self.client, &experiment, &subject).await? {
            return Ok(Some(run));
        }
        let run = self.create(&experiment, &subject).await?;
        if is_own {
            let at_us = manifest.created_at.as_microsecond();
            let metrics = manifest.metrics.test.iter();
            let metrics: Vec<Value> = metrics
                .flat_map(|test| runs::test(test, at_us, manifest.lineage.step))
                .collect();
            let body = json!({ "run_id": run.id, "metrics": metrics });
            let logged = self.client.post("runs/log-batch", &body).await;
            self.accept("metrics", logged)?;
            let ended = runs::end(&run, crate::job::JobState::Succeeded, at_us);
            let ended = self.client.post("runs/update", &ended).await;
            self.accept("the end of a run", ended)?;
        }
        Ok(Some(run))
    }

    /// The manifest of a checkpoint; nothing, and that is counted, if it is gone or unusable.
    async fn manifest(&self, id: CheckpointId) -> Result<Option<Manifest>, Failure> {
        match digits_checkpoint::manifest(&self.storage, id).await {
            Ok(Some(manifest)) => Ok(Some(manifest)),
            Ok(None) => {
                self.drop_one("a checkpoint", &format!("{id} is no longer on the storage"));
                Ok(None)
            }
            Err(error) if error.is_unreadable() => {
                self.drop_one("a checkpoint", &error.to_string());
                Ok(None)
            }
            Err(error) => Err(Failure::Postponed(error.to_string())),
        }
    }

    /// Whether a call was accepted; what the server refuses for good is dropped.
    fn accept<T>(&self, what: &str, called: Result<T, CallError>) -> Result<bool, Failure> {
        match called {
            Ok(_) => Ok(true),
            Err(CallError::Refused { reason, .. }) => {
                self.drop_one(what, &reason);
                Ok(false)
            }
            Err(CallError::Unavailable(reason)) => Err(Failure::Unavailable(reason)),
        }
    }

    fn drop_one(&self, what: &str, reason: &str) {
        self.metrics.dropped();
        tracing::warn!(what, reason, "something is not logged to MLflow");
    }
}
