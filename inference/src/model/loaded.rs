//! A checkpoint that was verified and built into a network.

use crate::{
    engine::{Activation, InputScale, Linear, Network, NetworkError},
    metrics::ServedValues,
};
use digits_checkpoint::{
    Loaded,
    manifest::{self, Manifest, PictureNormalization},
    record::Route,
};
use digits_picture::{Normalizer, Recipe};

/// A verified checkpoint, ready to classify.
pub struct LoadedModel {
    /// Its manifest.
    pub manifest: Manifest,
    /// SHA-256 of the bytes of its manifest.
    pub manifest_sha256: String,
    /// Its id as text, which every response contains.
    pub id: String,
    /// The network.
    pub network: Network,
    /// Brings pictures into the network's form.
    pub normalizer: Normalizer,
    /// Time of one image in the engine.
    pub image_seconds: ImageSeconds,
}

/// Time of one image in the engine, measured when the checkpoint was loaded; 0 until then.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageSeconds {
    /// An image that is computed alone.
    pub alone: f64,
    /// An image in a batch.
    pub among_many: f64,
}

impl LoadedModel {
    /// Builds the network from verified layers.
    ///
    /// # Errors
    ///
    /// When the layers do not fit each other.
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
            manifest::Activation::Tanh => Activation::Tanh,
            manifest::Activation::Sigmoid => Activation::Sigmoid,
            manifest::Activation::LeakyRelu { negative_slope } => {
                Activation::LeakyRelu { negative_slope }
            }
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
            manifest_sha256: loaded.manifest_sha256.clone(),
            image_seconds: ImageSeconds::default(),
        })
    }

    /// Whether this is the checkpoint of a route, with the manifest that was promoted.
    #[must_use]
    pub fn is_promised_by(&self, route: &Route) -> bool {
        let promised = route.manifest_sha256.as_deref();
        self.manifest.id == route.checkpoint
            && promised.is_none_or(|promised| promised == self.manifest_sha256)
    }

    /// Whether each label is a digit, so that a picture may show a number.
    #[must_use]
    pub fn reads_digits(&self) -> bool {
        let mut labels = self.manifest.labels.iter();
        labels.all(|label| matches!(label.as_bytes(), [b'0'..=b'9']))
    }

    /// The values of its gauges while it is served as `sequence`.
    #[must_use]
    pub fn gauge_values(&self, sequence: u64) -> ServedValues {
        let validation = self.manifest.metrics.validation;
        ServedValues {
            sequence,
            created_seconds: self.manifest.created_at.as_millisecond() as f64 / 1e3,
            step: self.manifest.lineage.step,
            validation_loss: validation.map(|it| it.loss),
            validation_accuracy: validation.map(|it| it.accuracy()),
            image_alone_seconds: self.image_seconds.alone,
            image_among_many_seconds: self.image_seconds.among_many,
        }
    }
}
