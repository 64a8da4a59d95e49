//! What a training tells while it goes on, and what it leaves behind.

use super::{Bundle, PublishFailed};
use digits_checkpoint::manifest::{Evaluation, TemperatureFit, TrainingSet};
use digits_checkpoint::{Exam, Layer};

/// What is known when a training starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// Steps of all epochs.
    pub steps: u64,
    /// Steps of one epoch.
    pub steps_per_epoch: u64,
    /// Images to train on.
    pub train_images: usize,
    /// Images to validate on.
    pub validation_images: usize,
    /// Images to test on at the end.
    pub test_images: usize,
    /// SHA-256 over the numbers of the training images, then of the validation images, each a
    /// little-endian u32 in the order of the division, after the two counts as u64; in hexadecimal.
    pub split_digest: String,
    /// The images to train on, in figures.
    pub training: TrainingSet,
    /// Threads that libtorch computes with.
    pub threads: usize,
    /// Steps that were done before; 0 unless the training goes on from a bundle.
    pub steps_done: u64,
}

/// When a bundle can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Between two steps.
    Step,
    /// After an epoch, with its snapshot handed out.
    Epoch,
    /// The training stops here.
    Stop,
}

/// One row of the curves.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Steps done over all epochs.
    pub step: u64,
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step in the epoch, from 1.
    pub step_in_epoch: u64,
    /// Mean cross-entropy of that step's batch before the step, in nats: what is minimised, so with label
    /// smoothing that against the smoothed labels.
    pub train_loss: f64,
    /// The whole validation set after the step.
    pub validation: Evaluation,
    /// Learning rate of that step.
    pub learning_rate: f64,
    /// Training images per second since the row before, validation left out.
    pub samples_per_second: f64,
}

/// Weights, and the exam that goes with them: those of the newest step, or their average where the plan keeps
/// one. The last snapshot of a plan with patience is of the row with the lowest validation loss.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Epoch after which they were handed out, from 1.
    pub epoch: u32,
    /// Steps that had been made when they stood so, over all epochs.
    pub step: u64,
    /// Weights and biases, from the input on.
    pub layers: Vec<Layer>,
    /// Raw inputs and what libtorch answers to them on the CPU.
    pub exam: Exam,
    /// These very weights on the validation set.
    pub validation: Option<Evaluation>,
    /// These very weights on the test set: only with the last snapshot of a training that was not
    /// stopped.
    pub test: Option<Evaluation>,
    /// Mean cross-entropy of the last training batch before, in nats.
    pub train_loss: f64,
    /// By which a reader divides the logits before the softmax; 1 where none was fitted.
    pub temperature: f64,
    /// What that does; `None` where none was fitted.
    pub calibration: Option<TemperatureFit>,
}

/// Who wants to know. Called on the training's thread: whatever takes long here holds the training back.
pub trait Observer {
    /// The data is divided and the network stands; called once, before the first step.
    fn started(&mut self, started: &Started);
    /// The curves have a new row.
    fn row(&mut self, row: &Row);
    /// That many steps are done; called after every step, must be cheap.
    fn progress(&mut self, step: u64);
    /// A checkpoint is due.
    ///
    /// # Errors
    /// [`PublishFailed`] ends the training.
    fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), PublishFailed>;
    /// Whether to stop; asked before every step and between batches of a long evaluation.
    fn should_stop(&self) -> bool;
    /// Whether a bundle is wanted now; asked before every step, so it must be cheap.
    fn wants_bundle(&self, _moment: Moment) -> bool {
        false
    }
    /// The bundle that was wanted. Rows and snapshots told before it are not told again by a training that
    /// goes on from it; all that come after it are.
    fn bundle(&mut self, _bundle: Bundle) {}
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// All epochs were made, or the plan's patience came to its end.
    Completed,
    /// The observer wanted it to stop.
    Stopped,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The weights of the last snapshot, or what it would have been, on the test set; `None` when stopped.
    pub test: Option<Evaluation>,
    /// Seconds of steps, without validation and publishing.
    pub train_seconds: f64,
    /// Seconds of validation.
    pub validation_seconds: f64,
    /// Seconds of the final test.
    pub test_seconds: f64,
    /// How it ended.
    pub finished: Finished,
    /// Steps done.
    pub steps: u64,
    /// As in [`Started`].
    pub split_digest: String,
    /// Threads that libtorch computed with.
    pub threads: usize,
}
