//! Losses of the last steps, kept on the device and read together, so that no step waits for its
//! own.

use super::TrainError;
use super::parameters::host;
use tch::{Kind, Tensor};

/// Steps after which the losses are read even if no row is due.
const MAX_PENDING: usize = 1_024;

/// Losses that were not read yet.
pub(super) struct LossLog {
    all: Tensor,
    /// A zero-dimensional view of each number.
    slots: Vec<Tensor>,
    used: usize,
}

/// A loss that is NaN or infinite, and the number of steps since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NotFinite {
    pub(super) loss: f64,
    pub(super) steps_ago: u64,
}

impl LossLog {
    /// A log that is read every `interval` steps.
    pub(super) fn new(interval: usize, device: tch::Device) -> Result<Self, TrainError> {
        let count = interval.clamp(1, MAX_PENDING);
        let all = Tensor::f_zeros([count as i64], (Kind::Float, device))?;
        let slots = (0..count as i64)
            .map(|number| all.f_select(0, number))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            all,
            slots,
            used: 0,
        })
    }

    /// The slot of the next step's loss; must not be called while the log is full.
    pub(super) fn slot(&mut self) -> &Tensor {
        let slot = &self.slots[self.used];
        self.used += 1;
        slot
    }

    /// Whether the losses must be read before the next step.
    pub(super) fn is_full(&self) -> bool {
        self.used == self.slots.len()
    }

    /// Waits for the device, empties the log and returns the newest loss, if there is one.
    pub(super) fn drain(&mut self) -> Result<Result<Option<f64>, NotFinite>, TrainError> {
        let losses = host(&self.all.f_narrow(0, 0, self.used as i64)?)?;
        self.used = 0;
        Ok(newest(&losses))
    }
}

/// The last loss, if all are finite.
fn newest(losses: &[f32]) -> Result<Option<f64>, NotFinite> {
    match losses.iter().position(|loss| !loss.is_finite()) {
        None => Ok(losses.last().map(|&loss| f64::from(loss))),
        Some(at) => Err(NotFinite {
            loss: f64::from(losses[at]),
            steps_ago: (losses.len() - 1 - at) as u64,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loss_that_is_not_finite_is_found() {
        assert_eq!(newest(&[]), Ok(None));
        assert_eq!(newest(&[2.0, 1.0]), Ok(Some(1.0)));
        let found = newest(&[2.0, f32::INFINITY, f32::NAN, f32::NAN]).expect_err("not numbers");
        assert_eq!(found.steps_ago, 2);
        assert_eq!(found.loss, f64::INFINITY);
    }
}
