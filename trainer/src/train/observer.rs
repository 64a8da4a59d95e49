//! The interface between a training and its caller: events while it runs, and its outcome.

use super::{Bundle, PublishFailed};
use digits_checkpoint::manifest::{Evaluation, TemperatureFit, TrainingSet};
use digits_checkpoint::{Exam, Layer};

/// Facts that are fixed when a training starts.
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
    /// SHA-256 in hexadecimal over the counts of training and validation images (u64) and the
    /// numbers of both (u32), all little-endian, in the order of the split.
    pub split_digest: String,
    /// Statistics of the images to train on.
    pub training: TrainingSet,
    /// Threads that libtorch computes with.
    pub threads: usize,
    /// Steps done before; 0 unless the training continues from a bundle.
    pub steps_done: u64,
}

/// The points at which a bundle can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundlePoint {
    /// Between two steps.
    Step,
    /// After an epoch and its snapshot.
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
    /// Mean cross-entropy in nats of that step's batch before the step; with label smoothing,
    /// against the smoothed labels.
    pub train_loss: f64,
    /// The whole validation set after the step.
    pub validation: Evaluation,
    /// Learning rate of that step.
    pub learning_rate: f64,
    /// Training images per second since the last row, without the time of validation.
    pub samples_per_second: f64,
}

/// Weights to publish, with their exam: the weights after the newest step, or their moving average
/// if the plan keeps one. The last snapshot of a training with early stopping has the weights of
/// the lowest validation loss.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Epoch after which the snapshot was taken, from 1.
    pub epoch: u32,
    /// Steps over all epochs after which the network had these weights.
    pub step: u64,
    /// Weights and biases, from the input on.
    pub layers: Vec<Layer>,
    /// Raw inputs and the logits that libtorch computes for them on the CPU.
    pub exam: Exam,
    /// These weights on the validation set.
    pub validation: Option<Evaluation>,
    /// These weights on the test set; only in the last snapshot of a completed training.
    pub test: Option<Evaluation>,
    /// Mean cross-entropy of the last training batch, in nats.
    pub train_loss: f64,
    /// Divides the logits before the softmax; 1 if none was fitted.
    pub temperature: f64,
    /// Loss and calibration error with and without it; `None` if none was fitted.
    pub calibration: Option<TemperatureFit>,
}

/// Receives the events of a training. Called on the training's thread, which waits meanwhile.
pub trait Observer {
    /// The training is set up; called once, before the first step.
    fn started(&mut self, started: &Started);
    /// A new row of the curves.
    fn row(&mut self, row: &Row);
    /// `step` steps are done; called after every step, so it must be cheap.
    fn progress(&mut self, step: u64);
    /// A checkpoint is due.
    ///
    /// # Errors
    /// [`PublishFailed`] ends the training.
    fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), PublishFailed>;
    /// Whether to stop; called before every step and between the chunks of an evaluation.
    fn should_stop(&self) -> bool;
    /// Whether to take a bundle now; called before every step, so it must be cheap.
    fn wants_bundle(&self, _at: BundlePoint) -> bool {
        false
    }
    /// The requested bundle. A training that resumes from it repeats exactly the rows and snapshots
    /// that come after it.
    fn bundle(&mut self, _bundle: Bundle) {}
}

/// Reason why a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// All epochs are done, or early stopping ended the training.
    Completed,
    /// [`Observer::should_stop`] returned true.
    Stopped,
}

/// The outcome of a training.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The final weights on the test set, published or not; `None` when stopped.
    pub test: Option<Evaluation>,
    /// Seconds of steps, without validation and publishing.
    pub train_seconds: f64,
    /// Seconds of validation.
    pub validation_seconds: f64,
    /// Seconds of the final test.
    pub test_seconds: f64,
    /// Reason why the training ended.
    pub finished: Finished,
    /// Steps done.
    pub steps: u64,
    /// Digest of the split, as in [`Started`].
    pub split_digest: String,
    /// Threads that libtorch computed with.
    pub threads: usize,
}
