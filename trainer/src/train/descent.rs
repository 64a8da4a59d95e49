//! How a gradient changes the weights: the optimiser of the plan, with the bound on the gradient before it.

use super::adamw::{self, AdamW};
use super::bundle::{Bundle, Kept};
use super::clip::Clip;
use super::parameters::{Flat, Shape};
use super::sgd::{self, Sgd};
use super::{Optimizer, Plan, TrainError};
use tch::Kind;

/// The optimiser with all its state.
pub(super) struct Descent {
    clip: Option<Clip>,
    method: Method,
}

enum Method {
    Sgd(Sgd),
    AdamW(AdamW),
}

impl Descent {
    pub(super) fn new(
        plan: &Plan,
        shape: &Shape,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let method = match plan.optimizer {
            Optimizer::Sgd {
                momentum,
                nesterov,
                weight_decay,
                ..
            } => {
                let terms = sgd::Terms {
                    momentum,
                    nesterov,
                    weight_decay,
                };
                Method::Sgd(Sgd::new(terms, shape, options)?)
            }
            Optimizer::AdamW {
                beta1,
                beta2,
                epsilon,
                weight_decay,
                ..
            } => {
                let terms = adamw::Terms {
                    beta1,
                    beta2,
                    epsilon,
                    weight_decay,
                };
                Method::AdamW(AdamW::new(terms, shape, options)?)
            }
        };
        let bound = plan.regularization.max_gradient_norm;
        let clip = (bound > 0.0).then(|| Clip::new(bound, shape, options));
        Ok(Self {
            clip: clip.transpose()?,
            method,
        })
    }

    /// Changes the parameters by one step; spoils the gradient.
    pub(super) fn step(
        &mut self,
        parameters: &mut Flat,
        gradient: &mut Flat,
        rate: f64,
    ) -> Result<(), TrainError> {
        if let Some(clip) = &mut self.clip {
            clip.bound(gradient)?;
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

    pub(super) fn restore(&mut self, kept: &Kept<'_>) -> Result<(), TrainError> {
        match &mut self.method {
            Method::Sgd(sgd) => sgd.restore(kept),
            Method::AdamW(adamw) => adamw.restore(kept),
        }
    }
}
