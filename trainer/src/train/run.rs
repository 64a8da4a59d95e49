//! The training loop: epochs of steps, rows of the curves, snapshots, and the test after the last
//! epoch.

use super::augment::Outliers;
use super::device_images::BatchRequest;
use super::network::Weights;
use super::philox;
use super::training::Training;
use super::{
    BundlePoint, Finished, Observer, Outcome, Plan, Row, Started, TrainError, dataset_stats, error,
    rng_streams, steps_per_epoch,
};
use digits_checkpoint::manifest::Evaluation;
use digits_dataset::Dataset;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use tch::Tensor;

/// Carries out `plan` on `data` and reports to `observer`. With `resume`, the bytes of a
/// [`Bundle`](super::Bundle) of the same training, it continues from there and ends, on the same
/// number of CPU threads, in the same bytes as a training that was never interrupted.
///
/// # Errors
/// [`TrainError`]; [`TrainError::Bundle`] comes before the first call of `observer`. A panic is
/// caught and becomes [`TrainError::Panic`].
pub fn run(
    plan: &Plan,
    data: &Dataset,
    resume: Option<&[u8]>,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    caught(|| {
        let mut training = Training::set_up(plan, data)?;
        if let Some(bytes) = resume {
            training.resume(bytes)?;
        }
        training.run(observer)
    })
}

/// Runs a computation without gradients; a panic becomes an error.
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

/// The images of an epoch in the order of its steps.
struct EpochOrder {
    /// Numbers of the images, int64, on the device.
    index: Tensor,
    /// Their labels, int64, on the device.
    labels: Tensor,
    /// Their labels in main memory; empty without augmentation.
    host_labels: Vec<u16>,
}

/// The images of a step within the epoch's order.
struct BatchRange {
    first: usize,
    images: usize,
}

impl Training<'_> {
    fn run(mut self, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        observer.started(&Started {
            steps: self.lr_schedule.steps,
            steps_per_epoch: self.steps_per_epoch(),
            train_images: self.split.train.len(),
            validation_images: self.validation.images(),
            test_images: self.data.test.images.count,
            split_digest: self.split_digest.clone(),
            training: dataset_stats::of(
                &self.data.train,
                &self.split.train,
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
                self.offer_bundle(BundlePoint::Stop, observer)?;
                return Ok(self.outcome(None, Finished::Stopped));
            }
            if self.state.is_over() {
                break;
            }
            self.state.epoch += 1;
            self.state.step_in_epoch = 0;
            self.state.order = None;
            if self.state.epoch < self.plan.epochs {
                self.offer_bundle(BundlePoint::Epoch, observer)?;
            }
        }
        Ok(self.outcome(test, Finished::Completed))
    }

    /// Makes the remaining steps of an epoch and reports their rows.
    fn epoch(&mut self, observer: &mut dyn Observer) -> Result<Finished, TrainError> {
        let mut began = Instant::now();
        let order = self.order()?;
        let images = self.split.train.len();
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
            self.offer_bundle(BundlePoint::Step, observer)?;
            let range = BatchRange {
                first,
                images: self.plan.batch_size.min(images - first),
            };
            self.step(&order, &range, self.rate(self.state.step))?;
            observer.progress(self.state.step);
            let validate = (self.state.step_in_epoch - 1).is_multiple_of(every);
            let end = first + range.images == images;
            if validate || end || self.losses.is_full() {
                self.drain_losses()?;
            }
            if validate {
                self.state.rng.skip_evaluation();
                self.state.row_due = true;
            }
        }
    }

    /// Passes a bundle to the observer if it requests one.
    fn offer_bundle(
        &mut self,
        moment: BundlePoint,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        if observer.wants_bundle(moment) {
            // The bundle then needs nothing of the loss log.
            self.drain_losses()?;
            observer.bundle(self.state.save(&self.fingerprint)?);
        }
        Ok(())
    }

    /// Uploads the epoch's order; draws its seed unless a bundle held one.
    fn order(&mut self) -> Result<EpochOrder, TrainError> {
        let rng = &mut self.state.rng;
        let seed = *self.state.order.get_or_insert_with(|| rng.order_seed());
        let order = rng_streams::order(seed, self.split.train.len());
        let numbers: Vec<u32> = order
            .into_iter()
            .map(|at| self.split.train[at as usize])
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
        Ok(EpochOrder {
            index,
            labels,
            host_labels,
        })
    }

    /// Learning rate of step number `steps`, from 0.
    fn rate(&self, steps: u64) -> f64 {
        self.lr_schedule.rate(steps, self.state.epoch)
    }

    fn step(
        &mut self,
        order: &EpochOrder,
        range: &BatchRange,
        rate: f64,
    ) -> Result<(), TrainError> {
        let (first, images) = (range.first as i64, range.images as i64);
        let index = order.index.f_narrow(0, first, images)?;
        let labels = order.labels.f_narrow(0, first, images)?;
        let buffers = &mut self.buffers[usize::from(range.images < self.plan.batch_size)];
        let weights = Weights::new(&self.state.parameters, &self.transposed);
        let request = BatchRequest {
            index: &index,
            labels: order
                .host_labels
                .get(range.first..range.first + range.images)
                .unwrap_or_default(),
            digits: match &self.plan.augmentation {
                Some(augmentation) => &augmentation.digits,
                None => &[],
            },
            outliers: Outliers {
                images: &self.data.train.images,
                train: &self.split.train,
            },
            at: philox::StepPosition {
                seed: self.plan.seed,
                epoch: self.state.epoch,
                step: self.state.step_in_epoch as u32,
            },
        };
        buffers
            .batch
            .gather(&self.images, &request, &self.plan.input)?;
        let batch = &buffers.batch.values;
        if let Some(dropout) = &mut self.dropout {
            let (epoch, step) = (self.state.epoch, self.state.step_in_epoch);
            dropout.fill(&mut buffers.forward.masks, epoch, step)?;
        }
        buffers.forward.run(batch, &weights)?;
        buffers.forward.mean_loss(&labels, self.losses.slot())?;
        buffers.backward.run(
            &mut buffers.forward,
            batch,
            &labels,
            &weights,
            &self.gradient,
        )?;
        self.state
            .optimizer
            .step(&mut self.state.parameters, &mut self.gradient, rate)?;
        if let Some(average) = &mut self.state.average {
            average.update(&self.state.parameters)?;
        }
        self.state.step += 1;
        self.state.step_in_epoch += 1;
        self.state.clock.images += range.images as u64;
        Ok(())
    }

    /// Reads the losses of the last steps. The only place of the loop that waits for the device.
    fn drain_losses(&mut self) -> Result<(), TrainError> {
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

    /// Validates and reports the row that is due.
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
        self.state.record_row(validation)?;
        Ok(Finished::Completed)
    }

    /// Evaluates the current weights on the validation images; `None` when stopped.
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
        steps_per_epoch(self.split.train.len(), self.plan.batch_size)
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
