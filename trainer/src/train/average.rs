//! An exponential moving average of the weights, as `torch.optim.swa_utils.AveragedModel` with
//! `get_ema_multi_avg_fn` keeps it: after the first step it is the weights, after every other one it moves
//! towards them by 1 − decay (B. T. Polyak, A. B. Juditsky, SIAM J. Control Optim. 30, 1992).

use super::TrainError;
use super::bundle::{Bundle, Kept};
use super::network::transposed;
use super::parameters::{Flat, Shape};
use tch::{Kind, Tensor};

/// The average and its state.
pub(super) struct Average {
    decay: f64,
    /// Whether there was a step before.
    begun: bool,
    /// The averaged weights.
    pub(super) weights: Flat,
    /// Views of them for the forward pass.
    pub(super) transposed: Vec<Tensor>,
}

impl Average {
    /// `None` where the weights stand for themselves.
    pub(super) fn new(
        decay: f64,
        shape: &Shape,
        options: (Kind, tch::Device),
    ) -> Result<Option<Self>, TrainError> {
        if decay == 0.0 {
            return Ok(None);
        }
        let weights = Flat::zeros(shape, options.0, options.1)?;
        Ok(Some(Self {
            decay,
            begun: false,
            transposed: transposed(&weights)?,
            weights,
        }))
    }

    /// Takes in the weights after a step.
    pub(super) fn follow(&mut self, parameters: &Flat) -> Result<(), TrainError> {
        if self.begun {
            let _ = self
                .weights
                .all
                .f_lerp_(&parameters.all, 1.0 - self.decay)?;
        } else {
            self.weights.all.f_copy_(&parameters.all)?;
            self.begun = true;
        }
        Ok(())
    }

    pub(super) fn save(&self, bundle: &mut Bundle) -> Result<(), TrainError> {
        bundle.figures("average.begun", &self.begun);
        bundle.tensor("average", &self.weights.all)
    }

    pub(super) fn restore(&mut self, kept: &Kept<'_>) -> Result<(), TrainError> {
        self.begun = kept.figures("average.begun")?;
        kept.tensor("average", &mut self.weights.all)
    }
}
