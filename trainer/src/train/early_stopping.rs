//! Early stopping: keeps the weights with the lowest validation loss so far, and counts the rows
//! since.
//!
//! Training ends after `patience` rows in sequence without a lower mean loss over images. Whether
//! it ends early or not, the best weights are tested and published at its end.

use super::TrainError;
use super::bundle::{Bundle, BundleReader, ExactEvaluation, ExactF64};
use super::parameters::{Flat, Shape};
use digits_checkpoint::manifest::Evaluation;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The best weights and the number of rows since.
pub(super) struct EarlyStopping {
    patience: u32,
    /// Rows since the best one.
    waited: u32,
    /// The row of the best weights; `None` before the first row.
    pub(super) best: Option<BestRow>,
    /// The best weights.
    pub(super) weights: Flat,
    /// Views of them for the forward pass.
    pub(super) transposed: Vec<Tensor>,
}

/// The row of the best weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BestRow {
    /// Steps done over all epochs.
    pub(super) step: u64,
    /// Loss of that step's batch.
    pub(super) train_loss: f64,
    /// On the validation images.
    pub(super) validation: Evaluation,
}

impl EarlyStopping {
    /// `None` without a patience.
    pub(super) fn new(
        patience: Option<u32>,
        shape: &Shape,
        options: (Kind, tch::Device),
    ) -> Result<Option<Self>, TrainError> {
        let Some(patience) = patience else {
            return Ok(None);
        };
        let weights = Flat::zeros(shape, options)?;
        Ok(Some(Self {
            patience,
            waited: 0,
            best: None,
            transposed: weights.transposed()?,
            weights,
        }))
    }

    /// Records a row, and copies its weights if they are the best.
    pub(super) fn row(&mut self, row: BestRow, weights: &Flat) -> Result<(), TrainError> {
        let lowest = self.best.map(|best| best.validation.loss);
        if lowest.is_none_or(|lowest| row.validation.loss < lowest) {
            self.weights.all.f_copy_(&weights.all)?;
            self.best = Some(row);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        Ok(())
    }

    /// Whether training must end.
    pub(super) fn is_over(&self) -> bool {
        self.waited >= self.patience
    }

    pub(super) fn save(&self, bundle: &mut Bundle) -> Result<(), TrainError> {
        let saved = Saved {
            waited: self.waited,
            best: self.best.map(|best| ExactBest {
                step: best.step,
                train_loss: best.train_loss.into(),
                validation: best.validation.into(),
            }),
        };
        bundle.put_json("stopping", &saved);
        bundle.put_tensor("stopping.best", &self.weights.all)
    }

    pub(super) fn restore(&mut self, reader: &BundleReader<'_>) -> Result<(), TrainError> {
        let saved: Saved = reader.json("stopping")?;
        self.waited = saved.waited;
        self.best = saved.best.map(|best| BestRow {
            step: best.step,
            train_loss: best.train_loss.into(),
            validation: best.validation.into(),
        });
        reader.copy_tensor("stopping.best", &mut self.weights.all)
    }
}

/// The numbers that a bundle holds.
#[derive(Serialize, Deserialize)]
struct Saved {
    waited: u32,
    best: Option<ExactBest>,
}

#[derive(Serialize, Deserialize)]
struct ExactBest {
    step: u64,
    train_loss: ExactF64,
    validation: ExactEvaluation,
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_checkpoint::manifest::{Activation, Architecture};

    const OPTIONS: (Kind, tch::Device) = (Kind::Float, tch::Device::Cpu);

    fn shape() -> Shape {
        Shape::of(&Architecture {
            input_size: 3,
            hidden: vec![2],
            classes: 2,
            activation: Activation::Relu,
        })
    }

    /// Records a row with this loss; all weights are the number of the step.
    fn record(stopping: &mut EarlyStopping, step: u64, loss: f64) {
        let weights = Flat::zeros(&shape(), OPTIONS).expect("memory");
        let _ = weights.all.shallow_clone().fill_(step as f64);
        let validation = Evaluation {
            images: 1,
            correct: 0,
            loss,
            loss_batch_mean: loss,
            batch_size: 1,
        };
        let row = BestRow {
            step,
            train_loss: loss,
            validation,
        };
        stopping.row(row, &weights).expect("a copy");
    }

    #[test]
    fn training_ends_after_the_patience_and_the_best_weights_are_kept() {
        let mut stopping = EarlyStopping::new(Some(2), &shape(), OPTIONS)
            .expect("memory")
            .expect("patience");
        let losses = [3.0, 2.0, 2.5, 1.0, 1.0, 1.5];
        let over: Vec<bool> = losses
            .into_iter()
            .enumerate()
            .map(|(step, loss)| {
                record(&mut stopping, step as u64, loss);
                stopping.is_over()
            })
            .collect();
        // An equal loss is no lower one.
        assert_eq!(over, [false, false, false, false, false, true]);
        assert_eq!(stopping.best.map(|best| best.step), Some(3));
        assert_eq!(stopping.weights.all.max().double_value(&[]), 3.0);
        assert!(
            EarlyStopping::new(None, &shape(), OPTIONS)
                .expect("memory")
                .is_none()
        );
    }
}
