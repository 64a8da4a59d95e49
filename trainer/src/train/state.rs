//! What a training saves to go on later: everything else can be made again from plan and data.
//!
//! Each part that has a state writes it into a [`Bundle`] under names of its own (`save`) and takes it back
//! (`restore`). A part that is new adds its two lines to [`State::save`] and [`State::restore`].
//!
//! Fields of the structs that are serialized here and in those parts are names in bundles on disk:
//! renaming one needs `#[serde(rename)]` with the name as it was.

use super::average::Average;
use super::bundle::{Bundle, Exact, ExactEvaluation, Kept, refuse};
use super::descent::Descent;
use super::fingerprint::Fingerprint;
use super::network::Weights;
use super::parameters::{Flat, Shape};
use super::stopping::{Best, Stopping};
use super::{Draws, Plan, TrainError};
use digits_checkpoint::Layer;
use digits_checkpoint::manifest::Evaluation;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tch::{Kind, Tensor};

/// Of what is written here; a bundle of another one is refused.
const FORMAT: u32 = 1;

/// The loop's whole state.
pub(super) struct State {
    /// Of the orders to come.
    pub(super) draws: Draws,
    /// Weights and biases.
    pub(super) parameters: Flat,
    /// With its momenta.
    pub(super) optimizer: Descent,
    /// What is evaluated and handed out in place of the weights, where the plan wants that.
    pub(super) average: Option<Average>,
    /// The best weights so far, where the plan has patience.
    pub(super) stopping: Option<Stopping>,
    /// Epochs done.
    pub(super) epoch: u32,
    /// Steps done in the epoch.
    pub(super) step_in_epoch: u64,
    /// Seed of the epoch's order; `None` before it was drawn.
    pub(super) order: Option<u64>,
    /// Whether the row of the newest step was not told yet.
    pub(super) row_due: bool,
    /// Steps done over all epochs.
    pub(super) step: u64,
    /// Loss of the newest batch that was looked at.
    pub(super) train_loss: f64,
    /// The newest validation, and after how many steps it was made.
    pub(super) validation: Option<(u64, Evaluation)>,
    /// Lowest validation loss after an epoch.
    pub(super) best: Option<f64>,
    /// Where the time went.
    pub(super) clock: Clock,
}

impl State {
    pub(super) fn new(
        draws: Draws,
        first_weights: &[Layer],
        shape: &Shape,
        plan: &Plan,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let mut parameters = Flat::zeros(shape, options.0, options.1)?;
        parameters.load(first_weights)?;
        Ok(Self {
            draws,
            parameters,
            optimizer: Descent::new(plan, shape, options)?,
            average: Average::new(plan.regularization.ema_decay, shape, options)?,
            stopping: Stopping::new(plan.patience_rows, shape, options)?,
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

    /// Copies the state out of the tensors, under the fingerprint of its training.
    pub(super) fn save(&self, of: &Fingerprint) -> Result<Bundle, TrainError> {
        let mut bundle = Bundle::new(self.step, self.epoch);
        bundle.figures("format", &FORMAT);
        bundle.figures("of", &of.as_str());
        bundle.figures("progress", &self.progress());
        bundle.figures("clock", &self.clock);
        bundle.tensor("parameters", &self.parameters.all)?;
        self.optimizer.save(&mut bundle)?;
        if let Some(average) = &self.average {
            average.save(&mut bundle)?;
        }
        if let Some(stopping) = &self.stopping {
            stopping.save(&mut bundle)?;
        }
        self.draws.save(&mut bundle);
        Ok(bundle)
    }

    /// Continues from a bundle, which must be of the training `of`.
    pub(super) fn restore(&mut self, kept: &Kept<'_>, of: &Fingerprint) -> Result<(), TrainError> {
        let format: u32 = kept.figures("format")?;
        if format != FORMAT {
            return Err(refuse(&format!(
                "its form is {format}, this version reads {FORMAT}"
            )));
        }
        if !of.matches(&kept.figures::<String>("of")?) {
            return Err(refuse("it is of another training or another data set"));
        }
        self.take(kept.figures("progress")?);
        self.clock = kept.figures("clock")?;
        kept.tensor("parameters", &mut self.parameters.all)?;
        self.optimizer.restore(kept)?;
        if let Some(average) = &mut self.average {
            average.restore(kept)?;
        }
        if let Some(stopping) = &mut self.stopping {
            stopping.restore(kept)?;
        }
        self.draws.restore(kept)
    }

    /// The weights that are evaluated and handed out, as they are now.
    pub(super) fn newest(&self) -> &Flat {
        let averaged = self.average.as_ref().map(|average| &average.weights);
        averaged.unwrap_or(&self.parameters)
    }

    /// The same for a pass; `transposed` are the views of `parameters`.
    pub(super) fn newest_weights<'a>(&'a self, transposed: &'a [Tensor]) -> Weights<'a> {
        let averaged = self.average.as_ref().map(|average| &average.transposed[..]);
        Weights::new(self.newest(), averaged.unwrap_or(transposed))
    }

    /// A row was told.
    pub(super) fn told(&mut self, validation: Evaluation) -> Result<(), TrainError> {
        let Some(stopping) = &mut self.stopping else {
            return Ok(());
        };
        let averaged = self.average.as_ref().map(|average| &average.weights);
        let row = Best {
            step: self.step,
            train_loss: self.train_loss,
            validation,
        };
        stopping.row(row, averaged.unwrap_or(&self.parameters))
    }

    /// Whether the plan's patience has come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.stopping.as_ref().is_some_and(Stopping::is_over)
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
            best: self.best.map(Exact::from),
        }
    }

    fn take(&mut self, progress: Progress) {
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

/// The small fields of [`State`], with every bit.
#[derive(Serialize, Deserialize)]
struct Progress {
    epoch: u32,
    step_in_epoch: u64,
    order: Option<u64>,
    row_due: bool,
    step: u64,
    train_loss: Exact,
    validation: Option<(u64, ExactEvaluation)>,
    best: Option<Exact>,
}

/// Where the time goes, over all attempts.
#[derive(Debug, Default, Serialize, Deserialize)]
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
        let seconds = self.train.saturating_sub(train).as_secs_f64();
        self.images.saturating_sub(images) as f64 / seconds.max(1e-9)
    }
}
