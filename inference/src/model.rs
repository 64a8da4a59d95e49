//! What is served: everything that must agree is one value behind one pointer, swapped as a whole.
//!
//! How it gets there is the loader's work; what is computed with it, the gRPC modules'.

use crate::{
    engine::{Activation, InputScale, Linear, Network, NetworkError},
    metrics::{AnswerMetrics, Live, ModelMetrics, Outcomes, RoleMetrics, ServedGauges},
    picture::{Normalizer, Recipe},
};
use arc_swap::{ArcSwapOption, Guard};
use digits_checkpoint::{
    Loaded, Refusal,
    id::{CheckpointId, ModelName},
    manifest::{self, Manifest, PictureNormalization},
    record::{Role, Route},
};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A checkpoint that was verified and is ready to answer.
pub struct LoadedModel {
    /// What it says about itself.
    pub manifest: Manifest,
    /// Its id in words, as every answer has it.
    pub id: String,
    /// The network.
    pub network: Network,
    /// How pictures become inputs of it.
    pub normalizer: Normalizer,
}

impl LoadedModel {
    /// Makes a network of verified layers; its speed is not measured yet.
    ///
    /// # Errors
    ///
    /// When the layers do not make a network.
    pub fn new(loaded: &Loaded) -> Result<Self, NetworkError> {
        let manifest = loaded.manifest.clone();
        let linears: Vec<Linear<'_>> = loaded
            .layers
            .iter()
            .map(|layer| Linear {
                inputs: layer.inputs,
                outputs: layer.outputs,
                weight: &layer.weight,
                bias: &layer.bias,
            })
            .collect();
        let activation = match manifest.architecture.activation {
            manifest::Activation::Relu => Activation::Relu,
            manifest::Activation::ScaledTanh => Activation::ScaledTanh,
            manifest::Activation::Gelu => Activation::Gelu,
        };
        let input = manifest.input;
        let scale = InputScale {
            scale: input.scale,
            mean: input.mean,
            std: input.std,
        };
        let recipe = match manifest.picture_normalization {
            PictureNormalization::None => Recipe::ScaleOnly,
            PictureNormalization::Mnist => Recipe::Mnist,
        };
        Ok(Self {
            network: Network::new(&linears, activation, scale)?,
            normalizer: Normalizer {
                height: input.height,
                width: input.width,
                recipe,
            },
            id: manifest.id.to_string(),
            manifest,
        })
    }
}

/// A checkpoint in its part.
pub struct ActiveRoute {
    /// The checkpoint.
    pub checkpoint: Arc<LoadedModel>,
    /// Its part.
    pub role: Role,
    /// Share of the requests.
    pub share: f64,
    /// Since when this process serves it in this part.
    pub since: Timestamp,
    /// Sequence of the record that this process has served it in this part from.
    pub since_sequence: u64,
    /// Counters of its predictions.
    pub metrics: Arc<RoleMetrics>,
    /// What callers reported of them.
    pub live: Arc<Live>,
    /// What is told of it.
    pub gauges: ServedGauges,
}

/// All that a serving record made of a model. A request loads it once and answers with it throughout.
pub struct ServingSnapshot {
    /// Sequence of the record: the version of the model.
    pub sequence: u64,
    /// Who answers; every route of the record that could be loaded, this one among them.
    pub primary: ActiveRoute,
    /// The candidates.
    pub others: Vec<ActiveRoute>,
}

impl ServingSnapshot {
    /// Everything that is served, the primary first.
    pub fn all(&self) -> impl Iterator<Item = &ActiveRoute> {
        std::iter::once(&self.primary).chain(&self.others)
    }

    /// The checkpoint of this id, if it is served.
    #[must_use]
    pub fn prepared(&self, id: CheckpointId) -> Option<&Arc<LoadedModel>> {
        self.all()
            .map(|served| &served.checkpoint)
            .find(|checkpoint| checkpoint.manifest.id == id)
    }
}

/// A record that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its sequence.
    pub sequence: u64,
    /// The checkpoint that it named; none where the record itself cannot be understood.
    pub checkpoint: Option<CheckpointId>,
    /// Why.
    pub refusal: Refusal,
    /// When.
    pub at: Timestamp,
}

/// What following the storage has come to, for `GetModel`.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Newest sequence that was seen.
    pub head_sequence: u64,
    /// The newest refusal.
    pub last_refusal: Option<Refused>,
    /// Refusals since the start, by reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// When the storage was last read without an error.
    pub storage_read_at: Option<Timestamp>,
    /// The record that is kept to; 0 for the newest.
    pub pinned_sequence: u64,
}

/// A model by name.
pub struct Model {
    /// Its name.
    pub name: ModelName,
    /// What following the storage counts.
    pub metrics: ModelMetrics,
    /// What callers report.
    pub outcomes: Outcomes,
    /// Images without a label, and comparisons of shadows.
    pub answers: Arc<AnswerMetrics>,
    serving: ArcSwapOption<ServingSnapshot>,
    /// Locked for moments only, never by Predict.
    status: Mutex<Status>,
}

impl Model {
    /// A model of which nothing is served yet.
    #[must_use]
    pub fn new(name: ModelName) -> Self {
        let metrics = ModelMetrics::new(name.as_str());
        Self {
            outcomes: metrics.outcomes(),
            answers: Arc::new(metrics.answers()),
            metrics,
            name,
            serving: ArcSwapOption::empty(),
            status: Mutex::default(),
        }
    }

    /// What is served now; costs no reference count. Not to be held across an await.
    pub fn serving(&self) -> Guard<Option<Arc<ServingSnapshot>>> {
        self.serving.load()
    }

    /// Serves something else from now on; gives back what was served.
    pub(crate) fn swap(&self, serving: Arc<ServingSnapshot>) -> Option<Arc<ServingSnapshot>> {
        self.serving.swap(Some(serving))
    }

    /// What following the storage has come to.
    pub fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A checkpoint in the part that a route of record `sequence` gives it; it keeps what it has had in that part before.
    pub(crate) fn route_entry(
        &self,
        checkpoint: Arc<LoadedModel>,
        (sequence, route): (u64, &Route),
        before: Option<&ServingSnapshot>,
    ) -> ActiveRoute {
        let classes = checkpoint.network.classes();
        let same = before.and_then(|serving| {
            serving.all().find(|served| {
                served.role == route.role && Arc::ptr_eq(&served.checkpoint, &checkpoint)
            })
        });
        ActiveRoute {
            role: route.role,
            share: route.share,
            since: same.map_or_else(Timestamp::now, |served| served.since),
            since_sequence: same.map_or(sequence, |served| served.since_sequence),
            metrics: same.map_or_else(
                || Arc::new(self.metrics.role(route.role, classes)),
                |served| served.metrics.clone(),
            ),
            live: same.map_or_else(
                || Arc::new(self.metrics.live(route.role)),
                |served| served.live.clone(),
            ),
            gauges: self.metrics.served(route.role),
            checkpoint,
        }
    }
}

/// The models of this process; which they are is set at the start.
pub struct Registry {
    models: BTreeMap<String, Arc<Model>>,
}

impl Registry {
    /// A registry of these models.
    #[must_use]
    pub fn new(names: &[ModelName]) -> Self {
        let model = |name: &ModelName| (name.to_string(), Arc::new(Model::new(name.clone())));
        Self {
            models: names.iter().map(model).collect(),
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

    /// All models.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.values()
    }

    /// Names of all models, for people.
    #[must_use]
    pub fn names(&self) -> String {
        self.models
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    }
}
