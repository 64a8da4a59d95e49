//! The models of this process by name, with what each serves and how its loader follows the
//! storage.

use super::{
    loaded::LoadedModel,
    snapshot::{ActiveRoute, ServingSnapshot},
};
use crate::{
    drift::Tally,
    metrics::{AnswerMetrics, ModelMetrics, Outcomes},
};
use arc_swap::{ArcSwapOption, Guard};
use digits_checkpoint::{
    LogFault, Refusal, RefusalReason,
    id::{CheckpointId, ModelName},
    record::Route,
};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// A serving record that was refused.
#[derive(Clone, Debug)]
pub struct RejectedRecord {
    /// Its sequence.
    pub sequence: u64,
    /// The checkpoint that was refused; `None` if the record itself cannot be read.
    pub checkpoint: Option<CheckpointId>,
    /// Why.
    pub refusal: Refusal,
    /// When.
    pub at: Timestamp,
}

impl RejectedRecord {
    pub(crate) fn new(sequence: u64, checkpoint: Option<CheckpointId>, refusal: Refusal) -> Self {
        Self {
            sequence,
            checkpoint,
            refusal,
            at: Timestamp::now(),
        }
    }
}

/// A fault of the storage of a model.
#[derive(Clone, Debug)]
pub struct StorageFault {
    /// What is wrong.
    pub fault: LogFault,
    /// When it was noticed.
    pub since: Timestamp,
}

/// State of following the storage, for `GetModel`.
#[derive(Clone, Debug, Default)]
pub struct LoadStatus {
    /// Newest sequence on the storage.
    pub head_sequence: u64,
    /// The newest refusal.
    pub last_refusal: Option<RejectedRecord>,
    /// Refusals since the start, by reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// What is wrong with the storage now.
    pub storage_faults: Vec<StorageFault>,
    /// When the storage was last read without an error.
    pub storage_read_at: Option<Timestamp>,
    /// The record that the model is pinned to; 0 if it follows the newest.
    pub pinned_sequence: u64,
}

/// A model by name.
pub struct Model {
    /// Its name.
    pub name: ModelName,
    /// Metrics of following the storage.
    pub metrics: ModelMetrics,
    /// Outcomes that callers reported.
    pub outcomes: Outcomes,
    /// Images without a label, and comparisons of shadows.
    pub answers: Arc<AnswerMetrics>,
    snapshot: ArcSwapOption<ServingSnapshot>,
    /// Notified after each swap.
    swaps: watch::Sender<()>,
    /// Locked for moments only, never by Predict.
    status: Mutex<LoadStatus>,
}

impl Model {
    /// A model that serves nothing yet; `swaps` is notified of its snapshots.
    #[must_use]
    pub fn new(name: ModelName, swaps: watch::Sender<()>) -> Self {
        let reasons = RefusalReason::ALL.map(RefusalReason::as_str);
        let metrics = ModelMetrics::new(name.as_str(), &reasons);
        Self {
            outcomes: metrics.outcomes(),
            answers: Arc::new(metrics.answers()),
            metrics,
            name,
            snapshot: ArcSwapOption::empty(),
            swaps,
            status: Mutex::default(),
        }
    }

    /// The current snapshot, without a reference count; must not be held across an await.
    pub fn snapshot(&self) -> Guard<Option<Arc<ServingSnapshot>>> {
        self.snapshot.load()
    }

    /// Whether a checkpoint is served.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.snapshot.load().is_some()
    }

    /// Serves `snapshot` from now on; returns the one before.
    pub(crate) fn swap(&self, snapshot: Arc<ServingSnapshot>) -> Option<Arc<ServingSnapshot>> {
        let before = self.snapshot.swap(Some(snapshot));
        self.swaps.send_replace(());
        before
    }

    /// State of following the storage.
    pub fn status(&self) -> MutexGuard<'_, LoadStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry of a snapshot for a route of record `sequence`. Metrics and start stay those of
    /// `current`, if it has the checkpoint in the same role.
    pub(crate) fn route_entry(
        &self,
        checkpoint: Arc<LoadedModel>,
        (sequence, route): (u64, &Route),
        current: Option<&ServingSnapshot>,
    ) -> ActiveRoute {
        let classes = checkpoint.network.classes();
        let same = current.and_then(|snapshot| {
            snapshot.routes().find(|active| {
                active.role == route.role && Arc::ptr_eq(&active.checkpoint, &checkpoint)
            })
        });
        ActiveRoute {
            role: route.role,
            share: route.share,
            since: same.map_or_else(Timestamp::now, |active| active.since),
            since_sequence: same.map_or(sequence, |active| active.since_sequence),
            metrics: same.map_or_else(
                || Arc::new(self.metrics.role(route.role.into(), classes)),
                |active| active.metrics.clone(),
            ),
            tally: same.map_or_else(
                || Arc::new(Tally::new(classes)),
                |active| active.tally.clone(),
            ),
            live: same.map_or_else(
                || Arc::new(self.metrics.live(route.role.into())),
                |active| active.live.clone(),
            ),
            gauges: self.metrics.served(route.role.into()),
            checkpoint,
        }
    }
}

/// The models of this process, which are fixed at the start.
pub struct Registry {
    models: BTreeMap<String, Arc<Model>>,
    swaps: watch::Sender<()>,
}

impl Registry {
    /// A registry of these models.
    #[must_use]
    pub fn new(names: &[ModelName]) -> Self {
        let swaps = watch::Sender::new(());
        let model = |name: &ModelName| {
            let model = Model::new(name.clone(), swaps.clone());
            (name.to_string(), Arc::new(model))
        };
        Self {
            models: names.iter().map(model).collect(),
            swaps,
        }
    }

    /// The model of a name; the empty name is that of the default model.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Model>> {
        self.models.get(if name.is_empty() {
            ModelName::DEFAULT
        } else {
            name
        })
    }

    /// Is notified whenever a model swaps a snapshot in.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.swaps.subscribe()
    }

    /// All models.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.values()
    }

    /// Names of all models, separated by commas.
    #[must_use]
    pub fn names(&self) -> String {
        self.models
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    }
}
