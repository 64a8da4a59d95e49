//! The update of `torch.optim.SGD` over flat buffers.
//!
//! With gradient g, weight decay λ, momentum μ and rate η: g ← g + λp; the momentum's buffer is g at the
//! first step and then μ·buffer + g; Nesterov's form takes g + μ·buffer, else the buffer; p ← p − η·that.
//! (PyTorch's form; others multiply the rate into the buffer.) A product that is added at once is one
//! `addcmul` with a tensor of no dimension: it rounds once, as PyTorch's `add` with `alpha` does, which the
//! bindings lack.

use super::TrainError;
use super::bundle::{Bundle, Kept};
use super::parameters::{Flat, Shape};
use tch::{Kind, Tensor};

/// What stays the same over all steps, as [`Optimizer::Sgd`](super::Optimizer::Sgd) names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) momentum: f64,
    pub(super) nesterov: bool,
    pub(super) weight_decay: f64,
}

/// The optimiser with all its state.
pub(super) struct Sgd {
    terms: Terms,
    /// Directions kept from the steps before.
    pub(super) buffer: Flat,
    /// Whether there was a step before.
    pub(super) begun: bool,
    minus_rate: Tensor,
    /// What `minus_rate` holds.
    rate: f64,
    momentum_factor: Tensor,
    decay_factor: Tensor,
}

impl Sgd {
    pub(super) fn new(
        terms: Terms,
        shape: &Shape,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let scalar = |value: f64| Tensor::f_full([0_i64; 0], value, options);
        Ok(Self {
            terms,
            buffer: Flat::zeros(shape, options.0, options.1)?,
            begun: false,
            minus_rate: scalar(0.0)?,
            rate: 0.0,
            momentum_factor: scalar(terms.momentum)?,
            decay_factor: scalar(terms.weight_decay)?,
        })
    }

    /// Changes the parameters by one step; spoils the gradient.
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
        if self.terms.weight_decay != 0.0 {
            let _ = direction.f_addcmul_(&parameters.all, &self.decay_factor)?;
        }
        if self.terms.momentum != 0.0 {
            let buffer = &mut self.buffer.all;
            if self.begun {
                let _ = buffer
                    .f_mul_scalar_(self.terms.momentum)?
                    .f_add_(direction)?;
            } else {
                buffer.f_copy_(direction)?;
                self.begun = true;
            }
            if self.terms.nesterov {
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
        bundle.figures("sgd.begun", &self.begun);
        if self.begun {
            bundle.tensor("sgd.buffer", &self.buffer.all)?;
        }
        Ok(())
    }

    pub(super) fn restore(&mut self, kept: &Kept<'_>) -> Result<(), TrainError> {
        self.begun = kept.figures("sgd.begun")?;
        if self.begun {
            kept.tensor("sgd.buffer", &mut self.buffer.all)?;
        }
        Ok(())
    }
}
