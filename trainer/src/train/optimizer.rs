//! The optimizer of a plan: gradient clipping, then an SGD or AdamW step.

use super::adamw::AdamW;
use super::bundle::{Bundle, BundleReader};
use super::gradient_clipping::GradientClipping;
use super::parameters::{Flat, Shape};
use super::sgd::Sgd;
use super::{Optimizer, Plan, TrainError};
use tch::Kind;

/// The optimizer with its state.
pub(super) struct OptimizerState {
    clip: Option<GradientClipping>,
    method: Method,
}

enum Method {
    Sgd(Sgd),
    AdamW(AdamW),
}

impl OptimizerState {
    pub(super) fn new(
        plan: &Plan,
        shape: &Shape,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let method = match plan.optimizer {
            Optimizer::Sgd(own) => Method::Sgd(Sgd::new(own, shape, options)?),
            Optimizer::AdamW(own) => Method::AdamW(AdamW::new(own, shape, options)?),
        };
        let bound = plan.regularization.max_gradient_norm;
        let clip = (bound > 0.0).then(|| GradientClipping::new(bound, shape, options));
        Ok(Self {
            clip: clip.transpose()?,
            method,
        })
    }

    /// Updates the parameters by one step; overwrites the gradient.
    pub(super) fn step(
        &mut self,
        parameters: &mut Flat,
        gradient: &mut Flat,
        rate: f64,
    ) -> Result<(), TrainError> {
        if let Some(clip) = &mut self.clip {
            clip.clip(gradient)?;
        }
        match &mut self.method {
            Method::Sgd(sgd) => sgd.step(parameters, gradient, rate),
            Method::AdamW(adamw) => adamw.step(parameters, gradient, rate),
        }
    }

    pub(super) fn save(&self, bundle: &mut Bundle) -> Result<(), TrainError> {
        match &self.method {
            Method::Sgd(sgd) => sgd.save(bundle),
            Method::AdamW(adamw) => adamw.save(bundle),
        }
    }

    pub(super) fn restore(&mut self, reader: &BundleReader<'_>) -> Result<(), TrainError> {
        match &mut self.method {
            Method::Sgd(sgd) => sgd.restore(reader),
            Method::AdamW(adamw) => adamw.restore(reader),
        }
    }
}
