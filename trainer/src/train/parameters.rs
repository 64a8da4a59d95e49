//! The parameters of a network in one flat buffer, with views of its layers; gradients and moments
//! have the same layout.
//!
//! Every tensor starts at a multiple of 64 bytes: on the CPU a matrix product sums in another order
//! for an unaligned matrix, and the weights would no longer equal PyTorch's byte for byte. The gaps
//! hold zeros, and every update maps 0 to 0.

use super::TrainError;
use super::mt19937::Mt19937;
use digits_checkpoint::Layer;
use digits_checkpoint::manifest::Architecture;
use tch::{Kind, Tensor};

/// Floats in 64 bytes.
const ALIGNMENT: usize = 16;

/// Shapes of the linear layers, from the input on, and their offsets in a flat buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) layers: Vec<LayerShape>,
    floats: usize,
}

/// Shape and offsets of one linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LayerShape {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    weight_at: usize,
    bias_at: usize,
}

impl Shape {
    pub(super) fn of(architecture: &Architecture) -> Self {
        let mut layers = Vec::with_capacity(architecture.hidden.len() + 1);
        let (mut inputs, mut at) = (architecture.input_size, 0);
        for &outputs in architecture.hidden.iter().chain([&architecture.classes]) {
            let weight_at = at;
            let bias_at = weight_at + (outputs * inputs).next_multiple_of(ALIGNMENT);
            at = bias_at + outputs.next_multiple_of(ALIGNMENT);
            layers.push(LayerShape {
                outputs,
                inputs,
                weight_at,
                bias_at,
            });
            inputs = outputs;
        }
        Self { layers, floats: at }
    }

    /// The last layer, and those before it.
    pub(super) fn split(&self) -> (&LayerShape, &[LayerShape]) {
        self.layers
            .split_last()
            .expect("a network has at least the layer of its classes")
    }

    /// Number of weights and biases.
    pub(super) fn parameters(&self) -> usize {
        self.layers
            .iter()
            .map(|layer| layer.outputs * (layer.inputs + 1))
            .sum()
    }

    /// Width of the widest layer, the input included.
    pub(super) fn widest(&self) -> usize {
        self.layers
            .iter()
            .map(|layer| layer.inputs.max(layer.outputs))
            .max()
            .unwrap_or(1)
    }

    /// Initial weights as `torch.nn.Linear` draws them: layer by layer, weight before bias, each
    /// number from U(−b, b) (K. He et al., ICCV 2015, with a = √5).
    pub(super) fn initial(&self, generator: &mut Mt19937) -> Vec<Layer> {
        self.layers
            .iter()
            .map(|layer| {
                let root = (layer.inputs as f64).sqrt();
                // PyTorch's operations for the bound of `kaiming_uniform_`; 1/√inputs but for
                // rounding.
                let slope = 5.0_f64.sqrt();
                let gain = (2.0 / (1.0 + slope * slope)).sqrt();
                let weight_bound = (3.0_f64.sqrt() * (gain / root)) as f32;
                let bias_bound = (1.0 / root) as f32;
                let mut draw = |count: usize, bound: f32| -> Vec<f32> {
                    (0..count)
                        .map(|_| generator.uniform(-bound, bound))
                        .collect()
                };
                Layer {
                    outputs: layer.outputs,
                    inputs: layer.inputs,
                    weight: draw(layer.outputs * layer.inputs, weight_bound),
                    bias: draw(layer.outputs, bias_bound),
                }
            })
            .collect()
    }
}

/// Weights, gradients or moments: a flat buffer and the views of its layers.
pub(super) struct Flat {
    /// All numbers, with the gaps.
    pub(super) all: Tensor,
    /// [outputs, inputs] of each layer.
    pub(super) weights: Vec<Tensor>,
    /// [outputs] of each layer.
    pub(super) biases: Vec<Tensor>,
}

impl Flat {
    /// Zeros.
    pub(super) fn zeros(shape: &Shape, options: (Kind, tch::Device)) -> Result<Self, TrainError> {
        let all = Tensor::f_zeros([shape.floats as i64], options)?;
        let mut weights = Vec::with_capacity(shape.layers.len());
        let mut biases = Vec::with_capacity(shape.layers.len());
        for layer in &shape.layers {
            let (outputs, inputs) = (layer.outputs as i64, layer.inputs as i64);
            weights.push(
                all.f_narrow(0, layer.weight_at as i64, outputs * inputs)?
                    .f_view([outputs, inputs])?,
            );
            biases.push(all.f_narrow(0, layer.bias_at as i64, outputs)?);
        }
        Ok(Self {
            all,
            weights,
            biases,
        })
    }

    /// Views of the weights as the forward pass multiplies with them, [inputs, outputs] of each
    /// layer.
    pub(super) fn transposed(&self) -> Result<Vec<Tensor>, TrainError> {
        let transpose = |weight: &Tensor| Ok(weight.f_transpose(0, 1)?);
        self.weights.iter().map(transpose).collect()
    }

    /// Copies `layers`, which must have this shape, into the buffer.
    pub(super) fn load(&mut self, layers: &[Layer]) -> Result<(), TrainError> {
        for (layer, (weight, bias)) in layers
            .iter()
            .zip(self.weights.iter_mut().zip(&mut self.biases))
        {
            weight.f_copy_(&Tensor::f_from_slice(&layer.weight)?.f_view_as(weight)?)?;
            bias.f_copy_(&Tensor::f_from_slice(&layer.bias)?)?;
        }
        Ok(())
    }

    /// Copies the parameters to main memory as float32.
    pub(super) fn layers(&self, shape: &Shape) -> Result<Vec<Layer>, TrainError> {
        let all = host(&self.all)?;
        Ok(shape
            .layers
            .iter()
            .map(|layer| {
                let weight_end = layer.weight_at + layer.outputs * layer.inputs;
                Layer {
                    outputs: layer.outputs,
                    inputs: layer.inputs,
                    weight: all[layer.weight_at..weight_end].to_vec(),
                    bias: all[layer.bias_at..layer.bias_at + layer.outputs].to_vec(),
                }
            })
            .collect())
    }
}

/// Copies a tensor to main memory as float32, in row-major order.
pub(super) fn host(tensor: &Tensor) -> Result<Vec<f32>, TrainError> {
    let tensor = tensor.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut numbers = vec![0.0; tensor.numel()];
    let count = numbers.len();
    tensor.f_copy_data(&mut numbers, count)?;
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_checkpoint::manifest::Activation;

    fn architecture(hidden: &[usize]) -> Architecture {
        Architecture {
            input_size: 6,
            hidden: hidden.to_vec(),
            classes: 3,
            activation: Activation::Relu,
        }
    }

    #[test]
    fn tensors_are_aligned_to_64_bytes_and_do_not_overlap() {
        for hidden in [&[][..], &[10], &[1, 17, 16]] {
            let shape = Shape::of(&architecture(hidden));
            let mut end = 0;
            for layer in &shape.layers {
                for (at, count) in [
                    (layer.weight_at, layer.outputs * layer.inputs),
                    (layer.bias_at, layer.outputs),
                ] {
                    assert_eq!(at % ALIGNMENT, 0, "{hidden:?}");
                    assert!(at >= end, "{hidden:?}");
                    end = at + count;
                }
            }
            assert!(end <= shape.floats, "{hidden:?}");
        }
    }

    #[test]
    fn loaded_layers_are_returned_unchanged() {
        let shape = Shape::of(&architecture(&[5, 4]));
        let layers = shape.initial(&mut Mt19937::new(1));
        let mut flat = Flat::zeros(&shape, (Kind::Float, tch::Device::Cpu)).expect("memory");
        flat.load(&layers).expect("the same shape");
        assert_eq!(flat.layers(&shape).expect("main memory"), layers);
    }
}
