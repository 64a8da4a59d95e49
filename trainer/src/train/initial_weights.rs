//! Given initial weights of a training, such as those of a checkpoint to fine-tune.

use digits_checkpoint::{Layer, encode_model, manifest::Architecture, sha256_hex};
use std::{fmt, sync::Arc};

/// Weights and biases from the input on; cheap to clone.
#[derive(Clone, PartialEq)]
pub struct InitialWeights(Arc<Vec<Layer>>);

impl InitialWeights {
    /// Wraps the layers.
    #[must_use]
    pub fn new(layers: Vec<Layer>) -> Self {
        Self(Arc::new(layers))
    }

    /// The layers.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.0
    }

    /// SHA-256 of their `model.safetensors`, in lower-case hexadecimal. Reads every number.
    pub(super) fn digest(&self) -> String {
        sha256_hex(&encode_model(&self.0))
    }

    /// Layers whose sizes differ from those of `wanted`, as in [`misfits`].
    pub(super) fn misfits(&self, wanted: &Architecture) -> Vec<String> {
        let shapes = self.0.iter().map(|layer| (layer.outputs, layer.inputs));
        misfits(&shapes.collect::<Vec<_>>(), wanted)
    }
}

/// Shows the digest in place of millions of numbers.
impl fmt::Debug for InitialWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InitialWeights({})", self.digest())
    }
}

/// Compares layers, (outputs, inputs) from the input on, with those of `wanted`: one message for
/// each weight of another size, by its name in the state dict.
#[must_use]
pub fn misfits(have: &[(usize, usize)], wanted: &Architecture) -> Vec<String> {
    let wanted = wanted.layers();
    let name = |layer: usize| format!("layers.{}.weight", 2 * layer + 1);
    let size = |(outputs, inputs): (usize, usize)| format!("{outputs}×{inputs}");
    (0..have.len().max(wanted.len()))
        .filter_map(|layer| match (have.get(layer), wanted.get(layer)) {
            (have, wanted) if have == wanted => None,
            (Some(&have), Some(&wanted)) => Some(format!(
                "{}: the checkpoint has {}, the job wants {}",
                name(layer),
                size(have),
                size(wanted)
            )),
            (Some(&have), None) => Some(format!(
                "{}: the checkpoint has {}, the job has no such layer",
                name(layer),
                size(have)
            )),
            (None, Some(&wanted)) => Some(format!(
                "{}: the checkpoint has no such layer, the job wants {}",
                name(layer),
                size(wanted)
            )),
            (None, None) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_checkpoint::manifest::Activation;

    #[test]
    fn other_weights_have_another_digest() {
        let weights = |bias| {
            InitialWeights::new(vec![Layer {
                outputs: 1,
                inputs: 1,
                weight: vec![1.0],
                bias: vec![bias],
            }])
        };
        let digest = |bias| weights(bias).digest();
        assert_eq!(digest(1.0), digest(1.0));
        assert_ne!(digest(1.0), digest(2.0));
    }

    #[test]
    fn weights_of_another_size_are_reported_by_name() {
        let wanted = |hidden: &[usize]| Architecture {
            input_size: 784,
            hidden: hidden.to_vec(),
            classes: 10,
            activation: Activation::Relu,
        };
        let have = [(10, 784), (10, 10)];
        assert!(misfits(&have, &wanted(&[10])).is_empty());
        assert_eq!(
            misfits(&have, &wanted(&[128])),
            [
                "layers.1.weight: the checkpoint has 10×784, the job wants 128×784",
                "layers.3.weight: the checkpoint has 10×10, the job wants 10×128",
            ]
        );
        assert_eq!(
            misfits(&have, &wanted(&[])),
            ["layers.3.weight: the checkpoint has 10×10, the job has no such layer"]
        );
        assert_eq!(
            misfits(&have, &wanted(&[10, 10])),
            ["layers.5.weight: the checkpoint has no such layer, the job wants 10×10"]
        );
    }
}
