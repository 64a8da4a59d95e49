//! Weights that a training starts from, and whether they are of its network.

use digits_checkpoint::{Layer, encode_model, manifest::Architecture, sha256_hex};
use std::{fmt, sync::Arc};

/// Weights and biases to start from, from the input on; cheap to clone.
#[derive(Clone, PartialEq)]
pub struct FirstWeights(Arc<Vec<Layer>>);

impl FirstWeights {
    /// Takes them over.
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

    /// How they differ from `wanted`, as [`misfits`] tells.
    pub(super) fn misfits(&self, wanted: &Architecture) -> Vec<String> {
        let shapes = self.0.iter().map(|layer| (layer.outputs, layer.inputs));
        misfits(&shapes.collect::<Vec<_>>(), wanted)
    }
}

/// The digest in place of millions of numbers.
impl fmt::Debug for FirstWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FirstWeights({})", self.digest())
    }
}

/// What is wrong with layers of these sizes, (outputs, inputs) from the input on, for a network like `wanted`:
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
            FirstWeights::new(vec![Layer {
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
    fn layers_of_another_size_are_named() {
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
