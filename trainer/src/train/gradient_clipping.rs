//! Clipping of the gradient's norm, as `torch.nn.utils.clip_grad_norm_`: the norm over all
//! parameters is the norm of the tensors' norms, and the gradient is multiplied by min(1, bound /
//! (norm + 1e-6)).
//!
//! The factor stays on the device, so no step waits for it.

use super::TrainError;
use super::parameters::{Flat, Shape};
use tch::{Kind, Tensor};

/// Added to the norm, as in PyTorch.
const TINY: f64 = 1e-6;

/// The bound and its buffers.
pub(super) struct GradientClipping {
    bound: f64,
    /// The norm of every tensor, weight and bias of each layer in turn.
    norms: Tensor,
    /// A view of no dimension for each of them.
    slots: Vec<Tensor>,
    /// The total norm, then the factor.
    factor: Tensor,
}

impl GradientClipping {
    pub(super) fn new(
        bound: f64,
        shape: &Shape,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let count = 2 * shape.layers.len() as i64;
        let norms = Tensor::f_zeros([count], options)?;
        let slots = (0..count)
            .map(|number| norms.f_select(0, number))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            bound,
            norms,
            slots,
            factor: Tensor::f_zeros([0_i64; 0], options)?,
        })
    }

    /// Scales the gradient down if its norm exceeds the bound.
    pub(super) fn clip(&mut self, gradient: &mut Flat) -> Result<(), TrainError> {
        let tensors = gradient.weights.iter().zip(&gradient.biases);
        for ((weight, bias), slots) in tensors.zip(self.slots.chunks_exact(2)) {
            let _ = weight.f_norm_out(&slots[0], 2, [0_i64, 1], false)?;
            let _ = bias.f_norm_out(&slots[1], 2, [0_i64], false)?;
        }
        let factor = &mut self.factor;
        let _ = self.norms.f_norm_out(factor, 2, [0_i64], false)?;
        let _ = factor
            .f_add_scalar_(TINY)?
            .f_reciprocal_()?
            .f_mul_scalar_(self.bound)?
            .f_clamp_max_(1.0)?;
        let _ = gradient.all.f_mul_(factor)?;
        Ok(())
    }
}
