//! Mixed precision: the matrix products of a step on bfloat16 copies of their operands, with
//! float32 sums and results.
//!
//! Only the operands are rounded, to 8 significant bits: weights, a layer's inputs, and the
//! gradient by its pre-activations. Master weights, biases, activations, loss, gradients and
//! optimizer stay float32 (P. Micikevicius et al., "Mixed precision training", ICLR 2018; with
//! bfloat16's exponents the loss needs no scaling).
//!
//! On a GPU the products take the copies as they are. On the CPU libtorch would round the results
//! too, and is fast only on some processors. There the copies are widened to float32 for a float32
//! product: a product of two numbers with 8 significant bits has 16, so only sums are rounded, as
//! on a GPU.

use super::TrainError;
use super::parameters::{Flat, LayerShape, Shape};
use tch::{Device, Kind, Tensor};

/// Buffers of the copies, for batches with a fixed number of images.
pub(super) struct Products {
    weights: RoundedWeights,
    /// Inputs of each layer, [images, inputs].
    inputs: Vec<Rounded>,
    /// Gradient of the loss by the pre-activations of each layer, [images, outputs].
    by_preactivations: Vec<Rounded>,
}

impl Products {
    pub(super) fn new(shape: &Shape, images: usize, device: Device) -> Result<Self, TrainError> {
        let copies = |columns: fn(&LayerShape) -> usize| {
            let layers = shape.layers.iter();
            layers
                .map(|layer| Rounded::zeros([images, columns(layer)], device))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            weights: RoundedWeights::zeros(shape, device)?,
            inputs: copies(|layer| layer.inputs)?,
            by_preactivations: copies(|layer| layer.outputs)?,
        })
    }

    /// Copies the weights, all in one buffer; must come before the passes of a step.
    pub(super) fn take(&mut self, parameters: &Tensor) -> Result<(), TrainError> {
        self.weights.round(parameters)
    }

    /// Writes the pre-activations of a layer, [images, outputs].
    pub(super) fn preactivations(
        &mut self,
        layer: usize,
        input: &Tensor,
        bias: &Tensor,
        out: &Tensor,
    ) -> Result<(), TrainError> {
        let weight = &self.weights.transposed[layer];
        let copy = &mut self.inputs[layer];
        copy.round(input)?;
        if widened(out.device()) {
            let _ = bias.f_addmm_out(out, copy.numbers(), weight)?;
        } else {
            let _ = copy.numbers().f_mm_dtype_out(out, weight, Kind::Float)?;
            let _ = out.shallow_clone().f_add_(bias)?;
        }
        Ok(())
    }

    /// Writes the gradient by a layer's weight, [outputs, inputs], from that by its pre-activations
    /// and its last input.
    pub(super) fn by_weight(
        &mut self,
        layer: usize,
        by_preactivations: &Tensor,
        out: &Tensor,
    ) -> Result<(), TrainError> {
        let copy = &mut self.by_preactivations[layer];
        copy.round(by_preactivations)?;
        multiply(&copy.transposed, self.inputs[layer].numbers(), out)
    }

    /// Writes the gradient by a layer's input, [images, inputs]; must come after
    /// [`Products::by_weight`].
    pub(super) fn by_input(&self, layer: usize, out: &Tensor) -> Result<(), TrainError> {
        let weight = &self.weights.numbers().weights[layer];
        multiply(self.by_preactivations[layer].numbers(), weight, out)
    }
}

/// Whether the copies are widened to float32.
fn widened(device: Device) -> bool {
    device == Device::Cpu
}

fn multiply(left: &Tensor, right: &Tensor, out: &Tensor) -> Result<(), TrainError> {
    if widened(out.device()) {
        let _ = left.f_mm_out(out, right)?;
    } else {
        let _ = left.f_mm_dtype_out(out, right, Kind::Float)?;
    }
    Ok(())
}

/// A matrix in bfloat16.
struct Rounded {
    narrow: Tensor,
    /// The same numbers in float32, if they are widened.
    wide: Option<Tensor>,
    /// Transposed view of the operand.
    transposed: Tensor,
}

impl Rounded {
    fn zeros(size: [usize; 2], device: Device) -> Result<Self, TrainError> {
        let zeros = |kind| Tensor::f_zeros(size.map(|side| side as i64), (kind, device));
        let narrow = zeros(Kind::BFloat16)?;
        let wide = widened(device).then(|| zeros(Kind::Float)).transpose()?;
        Ok(Self {
            transposed: wide.as_ref().unwrap_or(&narrow).f_transpose(0, 1)?,
            narrow,
            wide,
        })
    }

    fn round(&mut self, values: &Tensor) -> Result<(), TrainError> {
        self.narrow.f_copy_(values)?;
        if let Some(wide) = &mut self.wide {
            wide.f_copy_(&self.narrow)?;
        }
        Ok(())
    }

    fn numbers(&self) -> &Tensor {
        self.wide.as_ref().unwrap_or(&self.narrow)
    }
}

/// All weights in bfloat16, with their biases, which are not used.
struct RoundedWeights {
    narrow: Flat,
    /// The same numbers in float32, if they are widened.
    wide: Option<Flat>,
    /// Transposed views of the operands, [inputs, outputs].
    transposed: Vec<Tensor>,
}

impl RoundedWeights {
    fn zeros(shape: &Shape, device: Device) -> Result<Self, TrainError> {
        let narrow = Flat::zeros(shape, (Kind::BFloat16, device))?;
        let wide = widened(device).then(|| Flat::zeros(shape, (Kind::Float, device)));
        let wide = wide.transpose()?;
        Ok(Self {
            transposed: wide.as_ref().unwrap_or(&narrow).transposed()?,
            narrow,
            wide,
        })
    }

    fn round(&mut self, parameters: &Tensor) -> Result<(), TrainError> {
        self.narrow.all.f_copy_(parameters)?;
        if let Some(wide) = &mut self.wide {
            wide.all.f_copy_(&self.narrow.all)?;
        }
        Ok(())
    }

    fn numbers(&self) -> &Flat {
        self.wide.as_ref().unwrap_or(&self.narrow)
    }
}

#[cfg(test)]
mod tests {
    use super::super::mt19937::Mt19937;
    use super::*;
    use digits_checkpoint::manifest::{Activation, Architecture};

    const CPU: Device = Device::Cpu;
    const IMAGES: usize = 33;

    fn random(generator: &mut Mt19937, size: [usize; 2]) -> Tensor {
        let numbers: Vec<f32> = (0..size[0] * size[1])
            .map(|_| generator.uniform(-1.0, 1.0))
            .collect();
        Tensor::from_slice(&numbers).view(size.map(|side| side as i64))
    }

    /// Rounded to bfloat16, then exact.
    fn rounded(tensor: &Tensor) -> Tensor {
        tensor.to_kind(Kind::BFloat16).to_kind(Kind::Double)
    }

    /// Holds a result against the product of the rounded numbers, and makes sure that they were
    /// rounded.
    fn check(out: &Tensor, left: &Tensor, right: &Tensor) {
        let distance = |from: Tensor| (out - from).abs().max().double_value(&[]);
        let of_rounded = distance(rounded(left).matmul(&rounded(right)));
        assert!(of_rounded < 1e-5, "{of_rounded:e}");
        let of_whole = distance(left.matmul(right).to_kind(Kind::Double));
        assert!(of_whole > 1e-3, "{of_whole:e}");
    }

    #[test]
    fn products_equal_float32_products_of_rounded_operands() {
        let shape = Shape::of(&Architecture {
            input_size: 90,
            hidden: vec![70],
            classes: 10,
            activation: Activation::Relu,
        });
        let mut generator = Mt19937::new(4);
        let mut parameters = Flat::zeros(&shape, (Kind::Float, CPU)).expect("memory");
        parameters
            .load(&shape.initial(&mut generator))
            .expect("the same shape");
        // Larger, so that what rounding does is seen.
        let _ = parameters.all.f_mul_scalar_(10.0).expect("libtorch");
        let mut products = Products::new(&shape, IMAGES, CPU).expect("memory");
        products.take(&parameters.all).expect("libtorch");
        let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Float, CPU));
        for (layer, size) in shape.layers.iter().enumerate() {
            let (weight, bias) = (&parameters.weights[layer], &parameters.biases[layer]);
            let (inputs, outputs) = (size.inputs as i64, size.outputs as i64);
            let input = random(&mut generator, [IMAGES, size.inputs]);
            let sums = zeros(&[IMAGES as i64, outputs]);
            products
                .preactivations(layer, &input, bias, &sums)
                .expect("libtorch");
            check(&(sums - bias), &input, &weight.tr());

            let by_preactivations = random(&mut generator, [IMAGES, size.outputs]);
            let by_weight = zeros(&[outputs, inputs]);
            products
                .by_weight(layer, &by_preactivations, &by_weight)
                .expect("libtorch");
            check(&by_weight, &by_preactivations.tr(), &input);
            let by_input = zeros(&[IMAGES as i64, inputs]);
            products.by_input(layer, &by_input).expect("libtorch");
            check(&by_input, &by_preactivations, weight);
        }
    }
}
