//! The loop: epochs of steps, rows of the curves, snapshots, and the test at the end.

use super::augment::Outliers;
use super::counter;
use super::network::Weights;
use super::resident::Wanted;
use super::setup::Training;
use super::{
    Finished, Moment, Observer, Outcome, Plan, Row, Started, TrainError, draws, error, figures,
    steps_per_epoch,
};
use digits_checkpoint::manifest::Evaluation;
use digits_dataset::Dataset;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use tch::Tensor;

/// Trains as `plan` says on `data`, and tells `observer` what happens. With `resume`, the bytes of a
/// [`Bundle`](super::Bundle) of the same training, it goes on from there, and ends, on the same number of CPU
/// threads, in the same bytes as if it had never stopped.
///
/// # Errors
/// [`TrainError`], of which [`TrainError::Bundle`] comes before anything was told; a panic inside is caught
/// and becomes one too.
pub fn run(
    plan: &Plan,
    data: &Dataset,
    resume: Option<&[u8]>,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    caught(|| {
        let mut training = Training::set_up(plan, data)?;
        if let Some(bytes) = resume {
            training.go_on(bytes)?;
        }
        training.run(observer)
    })
}

/// Computes without gradients; a panic becomes an error.
pub(super) fn caught<T>(compute: impl FnOnce() -> Result<T, TrainError>) -> Result<T, TrainError> {
    catch_unwind(AssertUnwindSafe(|| {
        let _no_gradients = tch::no_grad_guard();
        compute()
    }))
    .unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or_default();
        Err(TrainError::Panic(error::first_line(text)))
    })
}

/// Order of the images and their labels for one epoch, on the device.
struct Order {
    index: Tensor,
    labels: Tensor,
    /// The labels in main memory, where augmentation asks for them.
    host_labels: Vec<u16>,
}

/// What a step needs to know of its batch.
struct Step {
    first: usize,
    images: usize,
}

impl Training<'_> {
    fn run(mut self, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        observer.started(&Started {
            steps: self.course.steps,
            steps_per_epoch: self.steps_per_epoch(),
            train_images: self.division.train.len(),
            validation_images: self.validation.images(),
            test_images: self.data.test.images.count,
            split_digest: self.split_digest.clone(),
            training: figures::of(
                &self.data.train,
                &self.division.train,
                self.plan.architecture.classes,
            ),
            threads: self.threads,
            steps_done: self.state.step,
        });
        let mut test = None;
        while self.state.epoch < self.plan.epochs {
            let ended = self.epoch(observer)? == Finished::Completed
                && self.end_of_epoch(&mut test, observer)? == Finished::Completed;
            if !ended {
                self.offer(Moment::Stop, observer)?;
                return Ok(self.outcome(None, Finished::Stopped));
            }
            if self.state.is_over() {
                break;
            }
            self.state.epoch += 1;
            self.state.step_in_epoch = 0;
            self.state.order = None;
            if self.state.epoch < self.plan.epochs {
                self.offer(Moment::Epoch, observer)?;
            }
        }
        Ok(self.outcome(test, Finished::Completed))
    }

    /// The steps of an epoch that are still to be made, with their rows.
    fn epoch(&mut self, observer: &mut dyn Observer) -> Result<Finished, TrainError> {
        let mut began = Instant::now();
        let order = self.order()?;
        let images = self.division.train.len();
        let every = self.plan.validate_every as u64;
        loop {
            if self.state.row_due {
                self.state.clock.train += began.elapsed();
                if self.row(observer)? == Finished::Stopped {
                    return Ok(Finished::Stopped);
                }
                began = Instant::now();
            }
            let first = self.state.step_in_epoch as usize * self.plan.batch_size;
            let done = first >= images || self.state.is_over();
            if done || observer.should_stop() {
                self.state.clock.train += began.elapsed();
                return Ok(match done {
                    true => Finished::Completed,
                    false => Finished::Stopped,
                });
            }
            self.offer(Moment::Step, observer)?;
            let batch = Step {
                first,
                images: self.plan.batch_size.min(images - first),
            };
            self.step(&order, &batch, self.rate(self.state.step))?;
            observer.progress(self.state.step);
            let validate = (self.state.step_in_epoch - 1).is_multiple_of(every);
            let end = first + batch.images == images;
            if validate || end || self.losses.is_full() {
                self.look_at_losses()?;
            }
            if validate {
                self.state.draws.evaluation();
                self.state.row_due = true;
            }
        }
    }

    /// Hands out a bundle where one is wanted.
    fn offer(&mut self, moment: Moment, observer: &mut dyn Observer) -> Result<(), TrainError> {
        if observer.wants_bundle(moment) {
            // Nothing of the losses need be kept then.
            self.look_at_losses()?;
            observer.bundle(self.state.save(&self.fingerprint)?);
        }
        Ok(())
    }

    /// Brings the epoch's order to the device, drawn unless it was drawn before.
    fn order(&mut self) -> Result<Order, TrainError> {
        let draws = &mut self.state.draws;
        let seed = *self.state.order.get_or_insert_with(|| draws.order_seed());
        let order = draws::order(seed, self.division.train.len());
        let numbers: Vec<u32> = order
            .into_iter()
            .map(|at| self.division.train[at as usize])
            .collect();
        let index = self.images.index(&numbers)?;
        let labels = self.images.labels.f_index_select(0, &index)?;
        let host_labels = match self.plan.augmentation {
            Some(_) => {
                let all = &self.data.train.labels;
                numbers.iter().map(|&number| all[number as usize]).collect()
            }
            None => Vec::new(),
        };
        Ok(Order {
            index,
            labels,
            host_labels,
        })
    }

    /// Learning rate of the step that comes after so many.
    fn rate(&self, steps: u64) -> f64 {
        self.course.rate(steps, self.state.epoch)
    }

    fn step(&mut self, order: &Order, step: &Step, rate: f64) -> Result<(), TrainError> {
        let (first, images) = (step.first as i64, step.images as i64);
        let index = order.index.f_narrow(0, first, images)?;
        let labels = order.labels.f_narrow(0, first, images)?;
        let memory = &mut self.memories[usize::from(step.images < self.plan.batch_size)];
        let weights = Weights::new(&self.state.parameters, &self.transposed);
        let wanted = Wanted {
            index: &index,
            labels: order.host_labels.get(step.places()).unwrap_or_default(),
            outliers: Outliers {
                images: &self.data.train.images,
                train: &self.division.train,
            },
            at: counter::Moment {
                seed: self.plan.seed,
                epoch: self.state.epoch,
                step: self.state.step_in_epoch as u32,
            },
        };
        memory
            .batch
            .gather(&self.images, &wanted, &self.plan.input)?;
        let batch = &memory.batch.values;
        if let Some(dropout) = &mut self.dropout {
            let (epoch, step) = (self.state.epoch, self.state.step_in_epoch);
            dropout.fill(&mut memory.forward.masks, epoch, step)?;
        }
        memory.forward.run(batch, &weights)?;
        memory.forward.mean_loss(&labels, self.losses.slot())?;
        memory.backward.run(
            &mut memory.forward,
            batch,
            &labels,
            &weights,
            &self.gradient,
        )?;
        self.state
            .optimizer
            .step(&mut self.state.parameters, &mut self.gradient, rate)?;
        if let Some(average) = &mut self.state.average {
            average.follow(&self.state.parameters)?;
        }
        self.state.step += 1;
        self.state.step_in_epoch += 1;
        self.state.clock.images += step.images as u64;
        Ok(())
    }

    /// The one place of the loop that waits for the device.
    fn look_at_losses(&mut self) -> Result<(), TrainError> {
        match self.losses.drain()? {
            Ok(newest) => {
                self.state.train_loss = newest.unwrap_or(self.state.train_loss);
                Ok(())
            }
            Err(bad) => Err(self.not_finite(bad.loss, self.state.step - bad.steps_ago)),
        }
    }

    pub(super) fn not_finite(&self, loss: f64, step: u64) -> TrainError {
        TrainError::NotFinite {
            step,
            epoch: (step.saturating_sub(1) / self.steps_per_epoch()) as u32 + 1,
            loss,
        }
    }

    /// Validates and hands out the row that is due.
    fn row(&mut self, observer: &mut dyn Observer) -> Result<Finished, TrainError> {
        let Some(validation) = self.validate(observer)? else {
            return Ok(Finished::Stopped);
        };
        observer.row(&Row {
            step: self.state.step,
            epoch: self.state.epoch + 1,
            step_in_epoch: self.state.step_in_epoch,
            train_loss: self.state.train_loss,
            validation,
            learning_rate: self.rate(self.state.step - 1),
            samples_per_second: self.state.clock.samples_per_second(),
        });
        self.state.row_due = false;
        self.state.told(validation)?;
        Ok(Finished::Completed)
    }

    /// The weights as they are on the validation images; `None` when stopped.
    pub(super) fn validate(
        &mut self,
        observer: &dyn Observer,
    ) -> Result<Option<Evaluation>, TrainError> {
        if let Some((step, evaluation)) = self.state.validation
            && step == self.state.step
        {
            return Ok(Some(evaluation));
        }
        let began = Instant::now();
        let weights = self.state.newest_weights(&self.transposed);
        let evaluation = self
            .validation
            .evaluate(&weights, &|| observer.should_stop())?;
        self.state.clock.validation += began.elapsed();
        if let Some(evaluation) = evaluation {
            if !evaluation.loss.is_finite() {
                return Err(self.not_finite(evaluation.loss, self.state.step));
            }
            self.state.validation = Some((self.state.step, evaluation));
        }
        Ok(evaluation)
    }

    pub(super) fn steps_per_epoch(&self) -> u64 {
        steps_per_epoch(self.division.train.len(), self.plan.batch_size)
    }

    fn outcome(self, test: Option<Evaluation>, finished: Finished) -> Outcome {
        Outcome {
            test,
            train_seconds: self.state.clock.train.as_secs_f64(),
            validation_seconds: self.state.clock.validation.as_secs_f64(),
            test_seconds: self.state.clock.test.as_secs_f64(),
            finished,
            steps: self.state.step,
            split_digest: self.split_digest,
            threads: self.threads,
        }
    }
}

impl Step {
    /// Where its images are in the epoch's order.
    fn places(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.images
    }
}
