//! The update of `torch.optim.AdamW` over flat buffers (I. Loshchilov, F. Hutter, "Decoupled weight decay
//! regularization", ICLR 2019; D. P. Kingma, J. Ba, "Adam", ICLR 2015).
//!
//! With gradient g, rates β₁ and β₂ of the two moments, step t from 1, rate η and decay λ: weights, but not
//! biases, p ← p·(1 − ηλ); m ← m + (1 − β₁)(g − m); v ← β₂v + (1 − β₂)g²; then
//! p ← p − η/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε). The operations and their order are PyTorch's; where it adds a
//! product with a factor, which the bindings lack, the factor is multiplied in before, which rounds the same.

use super::TrainError;
use super::bundle::{Bundle, Kept};
use super::parameters::{Flat, Shape};
use tch::{Kind, Tensor};

/// What stays the same over all steps, as [`Optimizer::AdamW`](super::Optimizer::AdamW) names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) beta1: f64,
    pub(super) beta2: f64,
    pub(super) epsilon: f64,
    pub(super) weight_decay: f64,
}

/// The optimiser with all its state.
pub(super) struct AdamW {
    terms: Terms,
    /// Steps made.
    steps: u64,
    /// Running mean of the gradient.
    first: Tensor,
    /// Running mean of its square.
    second: Tensor,
    /// What a step computes in.
    scratch: Tensor,
}

impl AdamW {
    pub(super) fn new(
        terms: Terms,
        shape: &Shape,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let zeros = || Ok::<_, TrainError>(Flat::zeros(shape, options.0, options.1)?.all);
        Ok(Self {
            terms,
            steps: 0,
            first: zeros()?,
            second: zeros()?,
            scratch: zeros()?,
        })
    }

    /// Changes the parameters by one step; spoils the gradient. The gaps between the parameters stay 0: the
    /// moments there are 0, and ε is more than 0.
    pub(super) fn step(
        &mut self,
        parameters: &mut Flat,
        gradient: &mut Flat,
        rate: f64,
    ) -> Result<(), TrainError> {
        let Terms {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = self.terms;
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
        bundle.figures("adamw.steps", &self.steps);
        bundle.tensor("adamw.first", &self.first)?;
        bundle.tensor("adamw.second", &self.second)
    }

    pub(super) fn restore(&mut self, kept: &Kept<'_>) -> Result<(), TrainError> {
        self.steps = kept.figures("adamw.steps")?;
        kept.tensor("adamw.first", &mut self.first)?;
        kept.tensor("adamw.second", &mut self.second)
    }
}
