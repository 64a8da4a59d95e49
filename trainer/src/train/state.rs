//! The state of a training that resume bundles hold. Everything else can be rebuilt from plan and
//! data.
//!
//! Each part with a state saves it into a [`Bundle`] under its own names (`save`) and restores it
//! (`restore`). A new part adds its two lines to [`State::save`] and [`State::restore`].
//!
//! Field names of the structs that are serialized here and in those parts are names in bundles on
//! disk: to rename one, add `#[serde(rename)]` with the old name.

use super::bundle::{Bundle, BundleReader, ExactEvaluation, ExactF64, invalid};
use super::early_stopping::{BestRow, EarlyStopping};
use super::fingerprint::Fingerprint;
use super::network::Weights;
use super::optimizer::OptimizerState;
use super::parameters::{Flat, Shape};
use super::weight_average::WeightAverage;
use super::{Plan, RngStream, TrainError};
use digits_checkpoint::Layer;
use digits_checkpoint::manifest::Evaluation;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tch::{Kind, Tensor};

/// Version of the bundle's content; a bundle with another one is refused.
const FORMAT: u32 = 1;

/// The whole state of the training loop.
pub(super) struct State {
    /// Draws the orders of the epochs to come.
    pub(super) rng: RngStream,
    /// Weights and biases.
    pub(super) parameters: Flat,
    /// The optimizer with its moments.
    pub(super) optimizer: OptimizerState,
    /// Moving average that is evaluated and published in place of the weights, if the plan has a
    /// decay.
    pub(super) average: Option<WeightAverage>,
    /// The best weights so far, if the plan has a patience.
    pub(super) stopping: Option<EarlyStopping>,
    /// Epochs done.
    pub(super) epoch: u32,
    /// Steps done in the epoch.
    pub(super) step_in_epoch: u64,
    /// Seed of the epoch's order; `None` before it is drawn.
    pub(super) order: Option<u64>,
    /// Whether the row of the newest step is still to be reported.
    pub(super) row_due: bool,
    /// Steps done over all epochs.
    pub(super) step: u64,
    /// The newest loss that was read from the device.
    pub(super) train_loss: f64,
    /// The newest validation, with the number of steps done before it.
    pub(super) validation: Option<(u64, Evaluation)>,
    /// Lowest validation loss after an epoch.
    pub(super) best: Option<f64>,
    /// Time spent.
    pub(super) clock: Clock,
}

impl State {
    pub(super) fn new(
        rng: RngStream,
        initial_weights: &[Layer],
        shape: &Shape,
        plan: &Plan,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let mut parameters = Flat::zeros(shape, options)?;
        parameters.load(initial_weights)?;
        Ok(Self {
            rng,
            parameters,
            optimizer: OptimizerState::new(plan, shape, options)?,
            average: WeightAverage::new(plan.regularization.ema_decay, shape, options)?,
            stopping: EarlyStopping::new(plan.patience_rows, shape, options)?,
            epoch: 0,
            step_in_epoch: 0,
            order: None,
            row_due: false,
            step: 0,
            train_loss: f64::NAN,
            validation: None,
            best: None,
            clock: Clock::default(),
        })
    }

    /// Copies the state into a bundle with the training's fingerprint.
    pub(super) fn save(&self, of: &Fingerprint) -> Result<Bundle, TrainError> {
        let mut bundle = Bundle::new(self.step, self.epoch);
        bundle.put_json("format", &FORMAT);
        bundle.put_json("of", &of.as_str());
        bundle.put_json("progress", &self.progress());
        bundle.put_json("clock", &self.clock);
        bundle.put_tensor("parameters", &self.parameters.all)?;
        self.optimizer.save(&mut bundle)?;
        if let Some(average) = &self.average {
            average.save(&mut bundle)?;
        }
        if let Some(stopping) = &self.stopping {
            stopping.save(&mut bundle)?;
        }
        self.rng.save(&mut bundle);
        Ok(bundle)
    }

    /// Restores the state from a bundle of the training `of`.
    pub(super) fn restore(
        &mut self,
        reader: &BundleReader<'_>,
        of: &Fingerprint,
    ) -> Result<(), TrainError> {
        let format: u32 = reader.json("format")?;
        if format != FORMAT {
            return Err(invalid(&format!(
                "its format is {format}, this version reads {FORMAT}"
            )));
        }
        if !of.matches(&reader.json::<String>("of")?) {
            return Err(invalid(
                "it belongs to another training or another data set",
            ));
        }
        self.set_progress(reader.json("progress")?);
        self.clock = reader.json("clock")?;
        reader.copy_tensor("parameters", &mut self.parameters.all)?;
        self.optimizer.restore(reader)?;
        if let Some(average) = &mut self.average {
            average.restore(reader)?;
        }
        if let Some(stopping) = &mut self.stopping {
            stopping.restore(reader)?;
        }
        self.rng.restore(reader)
    }

    /// The weights that are evaluated and published: the moving average if there is one.
    pub(super) fn newest(&self) -> &Flat {
        let averaged = self.average.as_ref().map(|average| &average.weights);
        averaged.unwrap_or(&self.parameters)
    }

    /// The same for a forward pass; `transposed` are the views of `parameters`.
    pub(super) fn newest_weights<'a>(&'a self, transposed: &'a [Tensor]) -> Weights<'a> {
        let averaged = self.average.as_ref().map(|average| &average.transposed[..]);
        Weights::new(self.newest(), averaged.unwrap_or(transposed))
    }

    /// Takes the validation of a reported row into account for early stopping.
    pub(super) fn record_row(&mut self, validation: Evaluation) -> Result<(), TrainError> {
        let Some(stopping) = &mut self.stopping else {
            return Ok(());
        };
        let averaged = self.average.as_ref().map(|average| &average.weights);
        let row = BestRow {
            step: self.step,
            train_loss: self.train_loss,
            validation,
        };
        stopping.row(row, averaged.unwrap_or(&self.parameters))
    }

    /// Whether early stopping ends the training.
    pub(super) fn is_over(&self) -> bool {
        self.stopping.as_ref().is_some_and(EarlyStopping::is_over)
    }

    fn progress(&self) -> Progress {
        Progress {
            epoch: self.epoch,
            step_in_epoch: self.step_in_epoch,
            order: self.order,
            row_due: self.row_due,
            step: self.step,
            train_loss: self.train_loss.into(),
            validation: self.validation.map(|(step, found)| (step, found.into())),
            best: self.best.map(ExactF64::from),
        }
    }

    fn set_progress(&mut self, progress: Progress) {
        self.epoch = progress.epoch;
        self.step_in_epoch = progress.step_in_epoch;
        self.order = progress.order;
        self.row_due = progress.row_due;
        self.step = progress.step;
        self.train_loss = progress.train_loss.into();
        self.validation = progress
            .validation
            .map(|(step, found)| (step, found.into()));
        self.best = progress.best.map(f64::from);
    }
}

/// The small fields of [`State`] as a bundle holds them.
#[derive(Serialize, Deserialize)]
struct Progress {
    epoch: u32,
    step_in_epoch: u64,
    order: Option<u64>,
    row_due: bool,
    step: u64,
    train_loss: ExactF64,
    validation: Option<(u64, ExactEvaluation)>,
    best: Option<ExactF64>,
}

/// Time spent, over all attempts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Clock {
    /// On steps and the order of the images.
    pub(super) train: Duration,
    /// On validations.
    pub(super) validation: Duration,
    /// On the test at the end.
    pub(super) test: Duration,
    /// Images that went through steps.
    pub(super) images: u64,
    /// `images` and `train` at the last row.
    last_row: (u64, Duration),
}

impl Clock {
    /// Training images per second since the last call.
    pub(super) fn samples_per_second(&mut self) -> f64 {
        let (images, train) = self.last_row;
        self.last_row = (self.images, self.train);
        let seconds = self.train.saturating_sub(train).as_secs_f64();
        self.images.saturating_sub(images) as f64 / seconds.max(1e-9)
    }
}
