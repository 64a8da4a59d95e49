//! Early stopping: the weights with the lowest validation loss so far, and how many rows ago that was.
//!
//! Training ends when that many rows in a row brought nothing lower. Whether it ends early or not, what is
//! tested and handed out at its end are the best weights. A row is compared by its mean loss over images.

use super::TrainError;
use super::bundle::{Bundle, Exact, ExactEvaluation, Kept};
use super::network::transposed;
use super::parameters::{Flat, Shape};
use digits_checkpoint::manifest::Evaluation;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The best weights and the wait since.
pub(super) struct Stopping {
    patience: u32,
    /// Rows since the best one.
    waited: u32,
    /// The row that they are of; `None` before the first.
    pub(super) best: Option<Best>,
    /// The best weights.
    pub(super) weights: Flat,
    /// Views of them for the forward pass.
    pub(super) transposed: Vec<Tensor>,
}

/// The row of the best weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Best {
    /// Steps done over all epochs.
    pub(super) step: u64,
    /// Loss of that step's batch.
    pub(super) train_loss: f64,
    /// On the validation images.
    pub(super) validation: Evaluation,
}

impl Stopping {
    /// `None` where training goes on to its end.
    pub(super) fn new(
        patience: Option<u32>,
        shape: &Shape,
        options: (Kind, tch::Device),
    ) -> Result<Option<Self>, TrainError> {
        let Some(patience) = patience else {
            return Ok(None);
        };
        let weights = Flat::zeros(shape, options.0, options.1)?;
        Ok(Some(Self {
            patience,
            waited: 0,
            best: None,
            transposed: transposed(&weights)?,
            weights,
        }))
    }

    /// Takes a row in, and its weights where they are the best.
    pub(super) fn row(&mut self, row: Best, weights: &Flat) -> Result<(), TrainError> {
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

    /// Whether training is to end.
    pub(super) fn is_over(&self) -> bool {
        self.waited >= self.patience
    }

    pub(super) fn save(&self, bundle: &mut Bundle) -> Result<(), TrainError> {
        let figures = Figures {
            waited: self.waited,
            best: self.best.map(|best| ExactBest {
                step: best.step,
                train_loss: best.train_loss.into(),
                validation: best.validation.into(),
            }),
        };
        bundle.figures("stopping", &figures);
        bundle.tensor("stopping.best", &self.weights.all)
    }

    pub(super) fn restore(&mut self, kept: &Kept<'_>) -> Result<(), TrainError> {
        let figures: Figures = kept.figures("stopping")?;
        self.waited = figures.waited;
        self.best = figures.best.map(|best| Best {
            step: best.step,
            train_loss: best.train_loss.into(),
            validation: best.validation.into(),
        });
        kept.tensor("stopping.best", &mut self.weights.all)
    }
}

/// What is kept beside the weights.
#[derive(Serialize, Deserialize)]
struct Figures {
    waited: u32,
    best: Option<ExactBest>,
}

#[derive(Serialize, Deserialize)]
struct ExactBest {
    step: u64,
    train_loss: Exact,
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

    /// Tells a row of this loss, with weights that are all the number of the step.
    fn tell(stopping: &mut Stopping, step: u64, loss: f64) {
        let weights = Flat::zeros(&shape(), OPTIONS.0, OPTIONS.1).expect("memory");
        let _ = weights.all.shallow_clone().fill_(step as f64);
        let validation = Evaluation {
            images: 1,
            correct: 0,
            loss,
            loss_batch_mean: loss,
            batch_size: 1,
        };
        let row = Best {
            step,
            train_loss: loss,
            validation,
        };
        stopping.row(row, &weights).expect("a copy");
    }

    #[test]
    fn it_waits_for_so_many_rows_and_keeps_the_best() {
        let mut stopping = Stopping::new(Some(2), &shape(), OPTIONS)
            .expect("memory")
            .expect("patience");
        let losses = [3.0, 2.0, 2.5, 1.0, 1.0, 1.5];
        let over: Vec<bool> = losses
            .into_iter()
            .enumerate()
            .map(|(step, loss)| {
                tell(&mut stopping, step as u64, loss);
                stopping.is_over()
            })
            .collect();
        // An equal loss is no lower one.
        assert_eq!(over, [false, false, false, false, false, true]);
        assert_eq!(stopping.best.map(|best| best.step), Some(3));
        assert_eq!(stopping.weights.all.max().double_value(&[]), 3.0);
        assert!(
            Stopping::new(None, &shape(), OPTIONS)
                .expect("memory")
                .is_none()
        );
    }
}
