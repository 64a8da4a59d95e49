//! Learning rate schedules: the learning rate as a pure function of the step.

use super::Schedule;
use std::f64::consts::PI;

/// The learning rate over a whole training.
#[derive(Clone, Copy, Debug)]
pub(super) struct LrSchedule {
    pub(super) schedule: Schedule,
    /// The optimizer's learning rate.
    pub(super) rate: f64,
    /// Steps of all epochs.
    pub(super) steps: u64,
}

impl LrSchedule {
    /// The learning rate of a step, numbered from 0 over all epochs, in an epoch, numbered from 0.
    pub(super) fn rate(&self, step: u64, epoch: u32) -> f64 {
        match self.schedule {
            Schedule::Constant => self.rate,
            // Repeated products, as torch's StepLR: a power rounds differently.
            Schedule::Step {
                every_epochs,
                factor,
            } => (0..epoch / every_epochs.max(1)).fold(self.rate, |rate, _| rate * factor),
            Schedule::Cosine {
                warmup,
                final_factor,
            } => {
                let warmup_steps = (warmup * self.steps as f64).round() as u64;
                if step < warmup_steps {
                    self.rate * (step + 1) as f64 / warmup_steps as f64
                } else {
                    let share = self.share(step, warmup_steps, self.steps);
                    self.rate * between(1.0, final_factor, share)
                }
            }
            Schedule::OneCycle {
                up,
                initial_factor,
                final_factor,
            } => {
                // PyTorch's definition of the peak, which need not be a whole number.
                let (at, peak) = (step as f64, up * self.steps as f64 - 1.0);
                let last = self.steps.saturating_sub(1) as f64;
                if at < peak {
                    self.rate * between(initial_factor, 1.0, at / peak)
                } else if at < last {
                    // Without warm-up the first step is the peak.
                    let peak = peak.max(0.0);
                    self.rate * between(1.0, final_factor, (at - peak) / (last - peak))
                } else if last > peak.max(0.0) {
                    self.rate * final_factor
                } else {
                    self.rate
                }
            }
        }
    }

    /// Position of `step` from `first` (0) to the last step before `end` (1).
    fn share(&self, step: u64, first: u64, end: u64) -> f64 {
        let last = end.saturating_sub(first).saturating_sub(1).max(1);
        ((step - first) as f64 / last as f64).min(1.0)
    }
}

/// Cosine interpolation from one value to another.
fn between(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * share).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_have_the_rates_of_their_definitions() {
        let step = Schedule::Step {
            every_epochs: 2,
            factor: 0.5,
        };
        let cosine = Schedule::Cosine {
            warmup: 0.1,
            final_factor: 0.1,
        };
        let cycle = Schedule::OneCycle {
            up: 0.25,
            initial_factor: 0.04,
            final_factor: 0.0,
        };
        for (schedule, at, epoch, expected) in [
            (Schedule::Constant, 0, 0, 2.0),
            (Schedule::Constant, 99, 9, 2.0),
            (step, 0, 1, 2.0),
            (step, 0, 2, 1.0),
            (step, 0, 9, 0.125),
            (cosine, 0, 0, 0.2),
            (cosine, 9, 0, 2.0),
            (cosine, 10, 0, 2.0),
            (cosine, 99, 0, 0.2),
            (cycle, 0, 0, 0.08),
            (cycle, 24, 0, 2.0),
            (cycle, 99, 0, 0.0),
        ] {
            let lr_schedule = LrSchedule {
                schedule,
                rate: 2.0,
                steps: 100,
            };
            let rate = lr_schedule.rate(at, epoch);
            assert!(
                (rate - expected).abs() < 1e-12,
                "{schedule:?} at {at}: {rate}"
            );
        }
    }

    #[test]
    fn a_training_of_one_step_has_the_full_rate() {
        for schedule in [
            Schedule::Cosine {
                warmup: 0.0,
                final_factor: 0.0,
            },
            Schedule::OneCycle {
                up: 0.3,
                initial_factor: 0.1,
                final_factor: 0.0,
            },
        ] {
            let lr_schedule = LrSchedule {
                schedule,
                rate: 1.0,
                steps: 1,
            };
            assert!((lr_schedule.rate(0, 0) - 1.0).abs() < 1e-12, "{schedule:?}");
        }
    }
}
