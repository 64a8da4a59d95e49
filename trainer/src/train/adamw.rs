//! The update of `torch.optim.AdamW` over flat buffers (I. Loshchilov, F. Hutter, "Decoupled weight
//! decay regularization", ICLR 2019; D. P. Kingma, J. Ba, "Adam", ICLR 2015).
//!
//! With parameters p, gradient g, step t from 1, learning rate η and decay λ: p ← p·(1 − ηλ) for
//! weights, not for biases; m ← m + (1 − β₁)(g − m); v ← β₂v + (1 − β₂)g²; p ← p − η/(1 − β₁ᵗ) · m
//! / (√v/√(1 − β₂ᵗ) + ε). The operations and their order are PyTorch's. Where PyTorch adds a
//! product with a factor, which the bindings lack, the factor is multiplied in first, which rounds
//! the same.

use super::bundle::{Bundle, BundleReader};
use super::parameters::{Flat, Shape};
use super::{AdamWOptions, TrainError};
use tch::{Kind, Tensor};

/// The optimizer with its state.
pub(super) struct AdamW {
    hyperparameters: AdamWOptions,
    /// Steps done.
    steps: u64,
    /// First moment: running mean of the gradient.
    first: Tensor,
    /// Second moment: running mean of its square.
    second: Tensor,
    /// Scratch buffer of a step.
    scratch: Tensor,
}

impl AdamW {
    pub(super) fn new(
        hyperparameters: AdamWOptions,
        shape: &Shape,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let zeros = || Ok::<_, TrainError>(Flat::zeros(shape, options)?.all);
        Ok(Self {
            hyperparameters,
            steps: 0,
            first: zeros()?,
            second: zeros()?,
            scratch: zeros()?,
        })
    }

    /// Updates the parameters by one step; overwrites the gradient. The gaps between the parameters
    /// stay 0: the moments there are 0, and ε is more than 0.
    pub(super) fn step(
        &mut self,
        parameters: &mut Flat,
        gradient: &mut Flat,
        rate: f64,
    ) -> Result<(), TrainError> {
        let AdamWOptions {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            learning_rate: _,
        } = self.hyperparameters;
        self.steps += 1;
        if weight_decay != 0.0 {
            for weight in &mut parameters.weights {
                let _ = weight.f_mul_scalar_(1.0 - rate * weight_decay)?;
            }
        }
        let gradient = &mut gradient.all;
        let _ = self.first.f_lerp_(gradient, 1.0 - beta1)?;
        let _ = gradient.f_mul_scalar_out(&self.scratch, 1.0 - beta2)?;
        let _ = self
            .second
            .f_mul_scalar_(beta2)?
            .f_addcmul_(&self.scratch, gradient)?;

        let steps = self.steps as f64;
        let step_size = rate / (1.0 - beta1.powf(steps));
        let root = (1.0 - beta2.powf(steps)).powf(0.5);
        let _ = self
            .second
            .f_sqrt_out(&self.scratch)?
            .f_div_scalar_(root)?
            .f_add_scalar_(epsilon)?;
        let _ = self.first.f_mul_scalar_out(gradient, -step_size)?;
        let _ = parameters.all.f_addcdiv_(gradient, &self.scratch)?;
        Ok(())
    }

    pub(super) fn save(&self, bundle: &mut Bundle) -> Result<(), TrainError> {
        bundle.put_json("adamw.steps", &self.steps);
        bundle.put_tensor("adamw.first", &self.first)?;
        bundle.put_tensor("adamw.second", &self.second)
    }

    pub(super) fn restore(&mut self, reader: &BundleReader<'_>) -> Result<(), TrainError> {
        self.steps = reader.json("adamw.steps")?;
        reader.copy_tensor("adamw.first", &mut self.first)?;
        reader.copy_tensor("adamw.second", &mut self.second)
    }
}
