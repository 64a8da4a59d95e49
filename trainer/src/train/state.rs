//! What a training would have to save to go on later: everything else can be made again from plan and data.

use super::parameters::{Flat, Shape};
use super::sgd::Sgd;
use super::{Draws, Optimizer, TrainError};
use digits_checkpoint::Layer;
use digits_checkpoint::manifest::Evaluation;
use std::time::Duration;
use tch::Kind;

/// The loop's whole state.
pub(super) struct State {
    /// Of the orders to come.
    pub(super) draws: Draws,
    /// Weights and biases.
    pub(super) parameters: Flat,
    /// With its momenta.
    pub(super) optimizer: Sgd,
    /// Epochs done.
    pub(super) epoch: u32,
    /// Steps done in the epoch.
    pub(super) step_in_epoch: u64,
    /// Steps done over all epochs.
    pub(super) step: u64,
    /// Loss of the newest batch that was looked at.
    pub(super) train_loss: f64,
    /// The newest validation, and after how many steps it was made.
    pub(super) validation: Option<(u64, Evaluation)>,
    /// Lowest validation loss after an epoch.
    pub(super) best: Option<f64>,
}

impl State {
    pub(super) fn new(
        draws: Draws,
        first_weights: &[Layer],
        shape: &Shape,
        optimizer: Optimizer,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let mut parameters = Flat::zeros(shape, options.0, options.1)?;
        parameters.load(first_weights)?;
        Ok(Self {
            draws,
            parameters,
            optimizer: Sgd::new(optimizer, shape, options)?,
            epoch: 0,
            step_in_epoch: 0,
            step: 0,
            train_loss: f64::NAN,
            validation: None,
            best: None,
        })
    }
}

/// Where the time goes.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Steps, with the order of the images.
    pub(super) train: Duration,
    /// Validations.
    pub(super) validation: Duration,
    /// The test at the end.
    pub(super) test: Duration,
    /// Images that went through steps.
    pub(super) images: u64,
    /// `images` and `train` when the last row was taken.
    last_row: (u64, Duration),
}

impl Clock {
    /// Training images per second since it was last asked.
    pub(super) fn samples_per_second(&mut self) -> f64 {
        let (images, train) = self.last_row;
        self.last_row = (self.images, self.train);
        let seconds = (self.train - train).as_secs_f64();
        (self.images - images) as f64 / seconds.max(1e-9)
    }
}
