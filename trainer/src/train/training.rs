//! Everything that a training allocates before its first step.

use super::bundle::BundleReader;
use super::device_images::{Batch, DeviceImages};
use super::dropout::Dropout;
use super::fingerprint::Fingerprint;
use super::loss_log::LossLog;
use super::lr_schedule::LrSchedule;
use super::network::{Backward, Forward};
use super::parameters::{Flat, Shape};
use super::state::State;
use super::validation::EvaluationSet;
use super::{
    InitialDraws, Plan, RngStream, SplitIndices, TrainError, exam, steps_per_epoch, threads,
};
use digits_dataset::Dataset;
use tch::{Kind, Tensor};

/// A training: its [`State`], and what can be rebuilt from plan and data.
pub(super) struct Training<'a> {
    pub(super) plan: &'a Plan,
    pub(super) data: &'a Dataset,
    /// Identifies the bundles of this training.
    pub(super) fingerprint: Fingerprint,
    pub(super) shape: Shape,
    pub(super) split: SplitIndices,
    pub(super) split_digest: String,
    pub(super) threads: usize,
    pub(super) lr_schedule: LrSchedule,
    pub(super) images: DeviceImages,
    pub(super) validation: EvaluationSet,
    pub(super) exam_inputs: Vec<u8>,
    pub(super) gradient: Flat,
    pub(super) transposed: Vec<Tensor>,
    /// For full batches, and for the last batch of an epoch if it is shorter.
    pub(super) buffers: Vec<StepBuffers>,
    pub(super) dropout: Option<Dropout>,
    pub(super) losses: LossLog,
    pub(super) state: State,
}

/// Buffers of a step, for one size of batch.
pub(super) struct StepBuffers {
    pub(super) batch: Batch,
    pub(super) forward: Forward,
    pub(super) backward: Backward,
}

impl<'a> Training<'a> {
    /// Allocates everything for a training from its start.
    pub(super) fn set_up(plan: &'a Plan, data: &'a Dataset) -> Result<Self, TrainError> {
        plan.check(data)?;
        let shape = Shape::of(&plan.architecture);
        let threads = threads::count(plan, shape.parameters());
        threads::set(threads);

        let InitialDraws { split, layers, rng } = RngStream::begin(plan, data.train.images.count)?;
        if plan.batch_size > split.train.len() {
            return Err(TrainError::Plan {
                field: "batch_size",
                message: format!(
                    "{} is more than the {} images to train on",
                    plan.batch_size,
                    split.train.len()
                ),
            });
        }

        let device = plan.device.torch();
        let options = (Kind::Float, device);
        let state = State::new(rng, &layers, &shape, plan, options)?;
        let images = DeviceImages::upload(&data.train, device)?;
        let validation = EvaluationSet::new(
            images.select(&split.validation)?,
            &shape,
            plan.architecture.activation,
            plan.input,
            plan.evaluation_batch_size,
        )?;
        let steps = steps_per_epoch(split.train.len(), plan.batch_size);
        let mut buffers = vec![StepBuffers::new(plan, &shape, plan.batch_size, options)?];
        match split.train.len() % plan.batch_size {
            0 => {}
            short => buffers.push(StepBuffers::new(plan, &shape, short, options)?),
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
            split_digest: split.digest(),
            threads,
            lr_schedule: LrSchedule {
                schedule: plan.schedule,
                rate: plan.optimizer.learning_rate(),
                steps: steps * u64::from(plan.epochs),
            },
            exam_inputs: exam::inputs(&data.train.images, &split.validation),
            gradient: Flat::zeros(&shape, options)?,
            transposed: state.parameters.transposed()?,
            losses: LossLog::new(plan.validate_every.min(steps as usize), device)?,
            images,
            validation,
            buffers,
            dropout,
            shape,
            split,
            state,
        })
    }

    /// Restores the state from the bytes of a bundle.
    pub(super) fn resume(&mut self, bundle: &[u8]) -> Result<(), TrainError> {
        self.state
            .restore(&BundleReader::read(bundle)?, &self.fingerprint)
    }
}

impl StepBuffers {
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
                .with_outliers(plan.replaced(images).without_class())?
                .regularized(&plan.regularization)?
                .multiplying(plan.precision, shape)?,
            backward: Backward::new(shape, images, options)?
                .with_outliers(plan.replaced(images).without_class())?,
        })
    }
}
