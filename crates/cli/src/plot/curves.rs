//! The data of a figure: the curves of a job.

use digits_proto::v1::{CurveRow, Evaluation};

/// A row of a job's curves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Steps done over all epochs.
    pub step: u64,
    /// Epoch, from 1.
    pub epoch: u32,
    /// Mean cross-entropy of that step's batch, in nats.
    pub train_loss: f64,
    /// Mean over batches of the validation loss, in nats, as the notebook plots it.
    pub validation_loss: Option<f64>,
    /// Share of the validation images that were right, from 0 to 1.
    pub accuracy: Option<f64>,
}

/// The curves of a figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// Title of the figure.
    pub title: String,
    /// The rows, oldest first.
    pub points: Vec<Point>,
    /// Accuracy (0 to 1) and loss (mean over batches) on the test set, drawn as dashed lines.
    pub test: Option<(f64, f64)>,
}

impl Curves {
    /// The curves of a job's rows, with the test result of a job that succeeded.
    #[must_use]
    pub fn new(title: impl Into<String>, rows: &[CurveRow], test: Option<&Evaluation>) -> Self {
        let point = |row: &CurveRow| Point {
            step: row.step,
            epoch: row.epoch,
            train_loss: row.train_loss,
            validation_loss: row.validation.map(|it| it.loss_batch_mean),
            accuracy: row.validation.map(|it| it.accuracy),
        };
        Self {
            title: title.into(),
            points: rows.iter().map(point).collect(),
            test: test.map(|it| (it.accuracy, it.loss_batch_mean)),
        }
    }

    /// The three curves as (step, value), values in nats, nats and per cent.
    pub(super) fn series(&self) -> [Vec<(f64, f64)>; 3] {
        let all = |value: fn(&Point) -> Option<f64>| -> Vec<(f64, f64)> {
            let pairs = self.points.iter();
            pairs
                .filter_map(|point| Some((point.step as f64, value(point)?)))
                .collect()
        };
        [
            all(|point| Some(point.train_loss)),
            all(|point| point.validation_loss),
            all(|point| point.accuracy.map(|share| share * 100.0)),
        ]
    }
}
