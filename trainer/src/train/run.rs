//! The loop: epochs of steps, rows of the curves, snapshots, and the test at the end.

use super::losses::LossLog;
use super::network::{Backward, Forward, Weights, transposed};
use super::parameters::{Flat, Shape};
use super::resident::{Batch, Resident};
use super::schedule::Course;
use super::state::{Clock, State};
use super::validation::EvaluationSet;
use super::{
    Beginning, Division, Draws, Finished, Observer, Optimizer, Outcome, Plan, PublishPolicy, Row,
    Snapshot, Started, TrainError, availability, error, exam, steps_per_epoch, threads,
};
use digits_checkpoint::manifest::Evaluation;
use digits_dataset::Dataset;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use tch::{Kind, Tensor};

/// Trains as `plan` says on `data`, and tells `observer` what happens.
///
/// # Errors
/// [`TrainError`]; a panic inside is caught and becomes one too.
pub fn run(
    plan: &Plan,
    data: &Dataset,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    catch_unwind(AssertUnwindSafe(|| {
        let _no_gradients = tch::no_grad_guard();
        Training::set_up(plan, data)?.run(observer)
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

/// Everything that a training needs beside its [`State`]: can be made again from plan and data.
struct Training<'a> {
    plan: &'a Plan,
    data: &'a Dataset,
    shape: Shape,
    division: Division,
    split_digest: String,
    threads: usize,
    course: Course,
    images: Resident,
    validation: EvaluationSet,
    questions: Vec<u8>,
    gradient: Flat,
    transposed: Vec<Tensor>,
    /// For full batches, and for the last of an epoch where it is shorter.
    memories: Vec<Memory>,
    losses: LossLog,
    state: State,
    clock: Clock,
}

/// What a step works in, for one size of batch.
struct Memory {
    batch: Batch,
    forward: Forward,
    backward: Backward,
}

/// Order of the images and their labels for one epoch, on the device.
struct Order {
    index: Tensor,
    labels: Tensor,
}

/// What a step needs to know of its batch.
struct Step {
    first: usize,
    images: usize,
}

impl<'a> Training<'a> {
    fn set_up(plan: &'a Plan, data: &'a Dataset) -> Result<Self, TrainError> {
        plan.check(data)?;
        if let Some(missing) = availability(plan).err().and_then(|mut all| all.pop()) {
            return Err(missing.into());
        }
        let shape = Shape::of(&plan.architecture);
        let threads = threads::count(plan, shape.parameters());
        threads::set(threads);

        let Beginning {
            division,
            layers,
            draws,
        } = Draws::begin(plan, data.train.images.count)?;
        if plan.batch_size > division.train.len() {
            return Err(TrainError::Plan {
                field: "batch_size",
                message: format!(
                    "{} is more than the {} images to train on",
                    plan.batch_size,
                    division.train.len()
                ),
            });
        }

        let device = plan.device.torch();
        let options = (Kind::Float, device);
        let state = State::new(draws, &layers, &shape, plan.optimizer, options)?;
        let images = Resident::upload(&data.train, device)?;
        let validation = EvaluationSet::new(
            images.select(&division.validation)?,
            &shape,
            plan.architecture.activation,
            plan.input,
            plan.evaluation_batch_size,
        )?;
        let steps = steps_per_epoch(division.train.len(), plan.batch_size);
        let mut memories = vec![Memory::new(plan, &shape, plan.batch_size, options)?];
        match division.train.len() % plan.batch_size {
            0 => {}
            short => memories.push(Memory::new(plan, &shape, short, options)?),
        }
        let rate = match plan.optimizer {
            Optimizer::Sgd { learning_rate, .. } => learning_rate,
            Optimizer::AdamW => 0.0,
        };
        Ok(Self {
            plan,
            data,
            split_digest: division.digest(),
            threads,
            course: Course {
                schedule: plan.schedule,
                rate,
                steps: steps * u64::from(plan.epochs),
            },
            questions: exam::questions(&data.train.images, &division.validation),
            gradient: Flat::zeros(&shape, options.0, options.1)?,
            transposed: transposed(&state.parameters)?,
            losses: LossLog::new(plan.validate_every.min(steps as usize), device)?,
            images,
            validation,
            memories,
            shape,
            division,
            state,
            clock: Clock::default(),
        })
    }

    fn run(mut self, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        observer.started(&Started {
            steps: self.course.steps,
            steps_per_epoch: self.steps_per_epoch(),
            train_images: self.division.train.len(),
            validation_images: self.validation.images(),
            test_images: self.data.test.images.count,
            split_digest: self.split_digest.clone(),
            threads: self.threads,
        });
        let mut test = None;
        while self.state.epoch < self.plan.epochs {
            if self.epoch(observer)? == Finished::Stopped {
                return Ok(self.outcome(None, Finished::Stopped));
            }
            self.state.epoch += 1;
            let last = self.state.epoch == self.plan.epochs;
            if last {
                test = self.test(observer)?;
                if test.is_none() {
                    return Ok(self.outcome(None, Finished::Stopped));
                }
            }
            if self.publish(test, observer)? == Finished::Stopped {
                return Ok(self.outcome(None, Finished::Stopped));
            }
        }
        Ok(self.outcome(test, Finished::Completed))
    }

    /// All steps of one epoch, with their rows.
    fn epoch(&mut self, observer: &mut dyn Observer) -> Result<Finished, TrainError> {
        let began = Instant::now();
        let order = self.order()?;
        self.state.step_in_epoch = 0;
        self.clock.train += began.elapsed();
        let images = self.division.train.len();
        let mut began = Instant::now();
        for first in (0..images).step_by(self.plan.batch_size) {
            if observer.should_stop() {
                self.clock.train += began.elapsed();
                return Ok(Finished::Stopped);
            }
            let batch = Step {
                first,
                images: self.plan.batch_size.min(images - first),
            };
            let rate = self.course.rate(self.state.step, self.state.epoch);
            self.step(&order, &batch, rate)?;
            observer.progress(self.state.step);
            let every = self.plan.validate_every as u64;
            let validate = (self.state.step_in_epoch - 1).is_multiple_of(every);
            let end = first + batch.images == images;
            if validate || end || self.losses.is_full() {
                self.look_at_losses()?;
            }
            if validate {
                self.clock.train += began.elapsed();
                if self.row(rate, observer)? == Finished::Stopped {
                    return Ok(Finished::Stopped);
                }
                began = Instant::now();
            }
        }
        self.clock.train += began.elapsed();
        Ok(Finished::Completed)
    }

    /// Draws the epoch's order and brings it to the device.
    fn order(&mut self) -> Result<Order, TrainError> {
        let order = self.state.draws.order(self.division.train.len());
        let numbers: Vec<u32> = order
            .into_iter()
            .map(|at| self.division.train[at as usize])
            .collect();
        let index = self.images.index(&numbers)?;
        let labels = self.images.labels.f_index_select(0, &index)?;
        Ok(Order { index, labels })
    }

    fn step(&mut self, order: &Order, step: &Step, rate: f64) -> Result<(), TrainError> {
        let (first, images) = (step.first as i64, step.images as i64);
        let index = order.index.f_narrow(0, first, images)?;
        let labels = order.labels.f_narrow(0, first, images)?;
        let memory = &mut self.memories[usize::from(step.images < self.plan.batch_size)];
        let weights = Weights::new(&self.state.parameters, &self.transposed);
        memory
            .batch
            .gather(&self.images, &index, &self.plan.input)?;
        let batch = &memory.batch.values;
        memory.forward.run(batch, &weights)?;
        memory.forward.mean_loss(&labels, self.losses.slot())?;
        memory
            .backward
            .run(&memory.forward, batch, &labels, &weights, &self.gradient)?;
        self.state
            .optimizer
            .step(&mut self.state.parameters, &mut self.gradient, rate)?;
        self.state.step += 1;
        self.state.step_in_epoch += 1;
        self.clock.images += step.images as u64;
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

    fn not_finite(&self, loss: f64, step: u64) -> TrainError {
        TrainError::NotFinite {
            step,
            epoch: (step.saturating_sub(1) / self.steps_per_epoch()) as u32 + 1,
            loss,
        }
    }

    /// Validates and hands out a row.
    fn row(&mut self, rate: f64, observer: &mut dyn Observer) -> Result<Finished, TrainError> {
        self.state.draws.evaluation();
        let Some(validation) = self.validate(observer)? else {
            return Ok(Finished::Stopped);
        };
        observer.row(&Row {
            step: self.state.step,
            epoch: self.state.epoch + 1,
            step_in_epoch: self.state.step_in_epoch,
            train_loss: self.state.train_loss,
            validation,
            learning_rate: rate,
            samples_per_second: self.clock.samples_per_second(),
        });
        Ok(Finished::Completed)
    }

    /// The weights as they are on the validation images; `None` when stopped.
    fn validate(&mut self, observer: &dyn Observer) -> Result<Option<Evaluation>, TrainError> {
        if let Some((step, evaluation)) = self.state.validation
            && step == self.state.step
        {
            return Ok(Some(evaluation));
        }
        let began = Instant::now();
        let weights = Weights::new(&self.state.parameters, &self.transposed);
        let evaluation = self
            .validation
            .evaluate(&weights, &|| observer.should_stop())?;
        self.clock.validation += began.elapsed();
        if let Some(evaluation) = evaluation {
            if !evaluation.loss.is_finite() {
                return Err(self.not_finite(evaluation.loss, self.state.step));
            }
            self.state.validation = Some((self.state.step, evaluation));
        }
        Ok(evaluation)
    }

    /// The last weights on the test images; `None` when stopped.
    fn test(&mut self, observer: &dyn Observer) -> Result<Option<Evaluation>, TrainError> {
        let began = Instant::now();
        let mut set = EvaluationSet::new(
            Resident::upload(&self.data.test, self.plan.device.torch())?,
            &self.shape,
            self.plan.architecture.activation,
            self.plan.input,
            self.plan.evaluation_batch_size,
        )?;
        let weights = Weights::new(&self.state.parameters, &self.transposed);
        let evaluation = set.evaluate(&weights, &|| observer.should_stop())?;
        self.clock.test += began.elapsed();
        Ok(evaluation)
    }

    /// Hands out a snapshot after an epoch, where the policy wants one.
    fn publish(
        &mut self,
        test: Option<Evaluation>,
        observer: &mut dyn Observer,
    ) -> Result<Finished, TrainError> {
        let last = self.state.epoch == self.plan.epochs;
        if self.plan.publish == PublishPolicy::Final && !last {
            return Ok(Finished::Completed);
        }
        let Some(validation) = self.validate(observer)? else {
            return Ok(Finished::Stopped);
        };
        let best = self.state.best.is_none_or(|best| validation.loss < best);
        if best {
            self.state.best = Some(validation.loss);
        }
        if self.plan.publish == PublishPolicy::Best && !best {
            return Ok(Finished::Completed);
        }
        let layers = self.state.parameters.layers(&self.shape)?;
        let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
        if !layers.iter().all(|l| finite(&l.weight) && finite(&l.bias)) {
            return Err(self.not_finite(f64::NAN, self.state.step));
        }
        let architecture = &self.plan.architecture;
        let questions = self.questions.clone();
        let exam = exam::answer(questions, &layers, architecture, &self.plan.input)?;
        observer.snapshot(Snapshot {
            epoch: self.state.epoch,
            step: self.state.step,
            layers,
            exam,
            validation: Some(validation),
            test,
            train_loss: self.state.train_loss,
        })?;
        Ok(Finished::Completed)
    }

    fn steps_per_epoch(&self) -> u64 {
        steps_per_epoch(self.division.train.len(), self.plan.batch_size)
    }

    fn outcome(self, test: Option<Evaluation>, finished: Finished) -> Outcome {
        Outcome {
            test,
            train_seconds: self.clock.train.as_secs_f64(),
            validation_seconds: self.clock.validation.as_secs_f64(),
            test_seconds: self.clock.test.as_secs_f64(),
            finished,
            steps: self.state.step,
            split_digest: self.split_digest,
            threads: self.threads,
        }
    }
}

impl Memory {
    fn new(
        plan: &Plan,
        shape: &Shape,
        images: usize,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let activation = plan.architecture.activation;
        Ok(Self {
            batch: Batch::new(images, &plan.input, options)?,
            forward: Forward::new(shape, activation, images, options)?,
            backward: Backward::new(shape, images, options)?,
        })
    }
}
