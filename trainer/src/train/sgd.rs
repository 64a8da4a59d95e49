//! The update of `torch.optim.SGD` over flat buffers.
//!
//! With parameters p, gradient g, weight decay λ, momentum μ and learning rate η: g ← g + λp;
//! buffer ← g at the first step, then μ·buffer + g; d ← g + μ·buffer with Nesterov, else buffer; p
//! ← p − ηd. (Other definitions multiply the rate into the buffer.) PyTorch's `add` with `alpha`,
//! which the bindings lack, rounds once; `addcmul` with a zero-dimensional tensor rounds the same.

use super::bundle::{Bundle, BundleReader};
use super::parameters::{Flat, Shape};
use super::{SgdOptions, TrainError};
use tch::{Kind, Tensor};

/// The optimizer with its state.
pub(super) struct Sgd {
    hyperparameters: SgdOptions,
    /// Momentum buffer.
    pub(super) buffer: Flat,
    /// Whether a step was done.
    pub(super) begun: bool,
    minus_rate: Tensor,
    /// The rate that `minus_rate` holds.
    rate: f64,
    momentum_factor: Tensor,
    decay_factor: Tensor,
}

impl Sgd {
    pub(super) fn new(
        hyperparameters: SgdOptions,
        shape: &Shape,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let scalar = |value: f64| Tensor::f_full([0_i64; 0], value, options);
        Ok(Self {
            hyperparameters,
            buffer: Flat::zeros(shape, options)?,
            begun: false,
            minus_rate: scalar(0.0)?,
            rate: 0.0,
            momentum_factor: scalar(hyperparameters.momentum)?,
            decay_factor: scalar(hyperparameters.weight_decay)?,
        })
    }

    /// Updates the parameters by one step; overwrites the gradient.
    pub(super) fn step(
        &mut self,
        parameters: &mut Flat,
        gradient: &mut Flat,
        rate: f64,
    ) -> Result<(), TrainError> {
        if self.rate.to_bits() != rate.to_bits() {
            let _ = self.minus_rate.f_fill_(-rate)?;
            self.rate = rate;
        }
        let direction = &mut gradient.all;
        if self.hyperparameters.weight_decay != 0.0 {
            let _ = direction.f_addcmul_(&parameters.all, &self.decay_factor)?;
        }
        if self.hyperparameters.momentum != 0.0 {
            let buffer = &mut self.buffer.all;
            if self.begun {
                let _ = buffer
                    .f_mul_scalar_(self.hyperparameters.momentum)?
                    .f_add_(direction)?;
            } else {
                buffer.f_copy_(direction)?;
                self.begun = true;
            }
            if self.hyperparameters.nesterov {
                let _ = direction.f_addcmul_(buffer, &self.momentum_factor)?;
            } else {
                let _ = parameters.all.f_addcmul_(buffer, &self.minus_rate)?;
                return Ok(());
            }
        }
        let _ = parameters.all.f_addcmul_(direction, &self.minus_rate)?;
        Ok(())
    }

    pub(super) fn save(&self, bundle: &mut Bundle) -> Result<(), TrainError> {
        bundle.put_json("sgd.begun", &self.begun);
        if self.begun {
            bundle.put_tensor("sgd.buffer", &self.buffer.all)?;
        }
        Ok(())
    }

    pub(super) fn restore(&mut self, reader: &BundleReader<'_>) -> Result<(), TrainError> {
        self.begun = reader.json("sgd.begun")?;
        if self.begun {
            reader.copy_tensor("sgd.buffer", &mut self.buffer.all)?;
        }
        Ok(())
    }
}
