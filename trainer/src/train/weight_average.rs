//! Exponential moving average of the weights, as `torch.optim.swa_utils.AveragedModel` with
//! `get_ema_multi_avg_fn` computes it: a copy of the weights after the first step, then moved
//! towards them by 1 − decay at each step (B. T. Polyak, A. B. Juditsky, SIAM J. Control Optim. 30,
//! 1992).

use super::TrainError;
use super::bundle::{Bundle, BundleReader};
use super::parameters::{Flat, Shape};
use tch::{Kind, Tensor};

/// The moving average.
pub(super) struct WeightAverage {
    decay: f64,
    /// Whether a step was done.
    begun: bool,
    /// The averaged weights.
    pub(super) weights: Flat,
    /// Views of them for the forward pass.
    pub(super) transposed: Vec<Tensor>,
}

impl WeightAverage {
    /// `None` if `decay` is 0.
    pub(super) fn new(
        decay: f64,
        shape: &Shape,
        options: (Kind, tch::Device),
    ) -> Result<Option<Self>, TrainError> {
        if decay == 0.0 {
            return Ok(None);
        }
        let weights = Flat::zeros(shape, options)?;
        Ok(Some(Self {
            decay,
            begun: false,
            transposed: weights.transposed()?,
            weights,
        }))
    }

    /// Moves the average towards the weights after a step.
    pub(super) fn update(&mut self, parameters: &Flat) -> Result<(), TrainError> {
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
        bundle.put_json("average.begun", &self.begun);
        bundle.put_tensor("average", &self.weights.all)
    }

    pub(super) fn restore(&mut self, reader: &BundleReader<'_>) -> Result<(), TrainError> {
        self.begun = reader.json("average.begun")?;
        reader.copy_tensor("average", &mut self.weights.all)
    }
}
