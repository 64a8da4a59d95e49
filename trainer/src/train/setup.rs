//! What a training works in, laid out before its first step.

use super::bundle::Kept;
use super::dropout::Dropout;
use super::fingerprint::Fingerprint;
use super::losses::LossLog;
use super::network::{Backward, Forward, transposed};
use super::parameters::{Flat, Shape};
use super::resident::{Batch, Resident};
use super::schedule::Course;
use super::state::State;
use super::validation::EvaluationSet;
use super::{Beginning, Division, Draws, Plan, TrainError, exam, steps_per_epoch, threads};
use digits_dataset::Dataset;
use tch::{Kind, Tensor};

/// Everything that a training needs beside its [`State`]: can be made again from plan and data.
pub(super) struct Training<'a> {
    pub(super) plan: &'a Plan,
    pub(super) data: &'a Dataset,
    /// What the bundles of this training are saved under.
    pub(super) fingerprint: Fingerprint,
    pub(super) shape: Shape,
    pub(super) division: Division,
    pub(super) split_digest: String,
    pub(super) threads: usize,
    pub(super) course: Course,
    pub(super) images: Resident,
    pub(super) validation: EvaluationSet,
    pub(super) questions: Vec<u8>,
    pub(super) gradient: Flat,
    pub(super) transposed: Vec<Tensor>,
    /// For full batches, and for the last of an epoch where it is shorter.
    pub(super) memories: Vec<Memory>,
    pub(super) dropout: Option<Dropout>,
    pub(super) losses: LossLog,
    pub(super) state: State,
}

/// What a step works in, for one size of batch.
pub(super) struct Memory {
    pub(super) batch: Batch,
    pub(super) forward: Forward,
    pub(super) backward: Backward,
}

impl<'a> Training<'a> {
    /// Lays everything out for a training from the start.
    pub(super) fn set_up(plan: &'a Plan, data: &'a Dataset) -> Result<Self, TrainError> {
        plan.check(data)?;
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
        let state = State::new(draws, &layers, &shape, plan, options)?;
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
        let dropout = Dropout::new(
            plan.regularization.dropout,
            plan.seed,
            &shape,
            plan.batch_size,
            steps,
            device,
        );
        Ok(Self {
            plan,
            data,
            fingerprint: Fingerprint::of(plan, &data.digest),
            split_digest: division.digest(),
            threads,
            course: Course {
                schedule: plan.schedule,
                rate: plan.optimizer.learning_rate(),
                steps: steps * u64::from(plan.epochs),
            },
            questions: exam::questions(&data.train.images, &division.validation),
            gradient: Flat::zeros(&shape, options.0, options.1)?,
            transposed: transposed(&state.parameters)?,
            losses: LossLog::new(plan.validate_every.min(steps as usize), device)?,
            images,
            validation,
            memories,
            dropout,
            shape,
            division,
            state,
        })
    }

    /// Takes the state from a bundle.
    pub(super) fn go_on(&mut self, bundle: &[u8]) -> Result<(), TrainError> {
        self.state.restore(&Kept::read(bundle)?, &self.fingerprint)
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
            batch: Batch::new(images, plan, options)?,
            forward: Forward::new(shape, activation, images, options)?
                .with_outliers(plan.outliers(images))?
                .regularized(&plan.regularization)?
                .multiplying(plan.precision, shape)?,
            backward: Backward::new(shape, images, options)?
                .with_outliers(plan.outliers(images))?,
        })
    }
}
