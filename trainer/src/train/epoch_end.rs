//! The end of an epoch: the test after the last one, the temperature and the snapshot.
//!
//! With early stopping, the test and the last snapshot are of the best weights.

use super::device_images::DeviceImages;
use super::early_stopping::{BestRow, EarlyStopping};
use super::network::Weights;
use super::parameters::Flat;
use super::state::State;
use super::temperature::{self, FittedTemperature, LabelledLogits};
use super::training::Training;
use super::validation::EvaluationSet;
use super::{Finished, Observer, PublishPolicy, Snapshot, TrainError, exam};
use digits_checkpoint::manifest::Evaluation;
use std::time::Instant;
use tch::Tensor;

/// The evaluation of the finished network on the test images.
struct TestResult {
    evaluation: Evaluation,
    /// Its logits, if a temperature is fitted.
    logits: Option<LabelledLogits>,
}

/// The weights that are tested and published after an epoch.
enum SnapshotWeights<'a> {
    Newest(&'a State),
    Best(&'a EarlyStopping, BestRow),
}

impl<'a> SnapshotWeights<'a> {
    /// The best weights after the last epoch of a training with early stopping, else the newest.
    fn after(state: &'a State, last: bool) -> Self {
        let stopping = state.stopping.as_ref().filter(|_| last);
        let best = stopping.and_then(|stopping| Some((stopping, stopping.best?)));
        best.map_or(Self::Newest(state), |(stopping, best)| {
            Self::Best(stopping, best)
        })
    }

    fn flat(&self) -> &'a Flat {
        match self {
            Self::Newest(state) => state.newest(),
            Self::Best(stopping, _) => &stopping.weights,
        }
    }

    /// For a forward pass; `transposed` are the views of the state's parameters.
    fn weights(&self, transposed: &'a [Tensor]) -> Weights<'a> {
        match self {
            Self::Newest(state) => state.newest_weights(transposed),
            Self::Best(stopping, _) => Weights::new(&stopping.weights, &stopping.transposed),
        }
    }
}

impl Training<'_> {
    /// Tests, if the epoch was the last one, which sets `test`, and publishes.
    pub(super) fn end_of_epoch(
        &mut self,
        test: &mut Option<Evaluation>,
        observer: &mut dyn Observer,
    ) -> Result<Finished, TrainError> {
        let mut tested = None;
        if self.is_last_epoch() {
            tested = self.test(observer)?;
            let Some(tested) = &tested else {
                return Ok(Finished::Stopped);
            };
            *test = Some(tested.evaluation);
        }
        self.publish(tested, observer)
    }

    /// Whether the current epoch is the last one.
    fn is_last_epoch(&self) -> bool {
        self.state.epoch + 1 == self.plan.epochs || self.state.is_over()
    }

    /// Evaluates the finished network on the test images; `None` when stopped.
    fn test(&mut self, observer: &dyn Observer) -> Result<Option<TestResult>, TrainError> {
        let began = Instant::now();
        let mut set = EvaluationSet::new(
            DeviceImages::upload(&self.data.test, self.plan.device.torch())?,
            &self.shape,
            self.plan.architecture.activation,
            self.plan.input,
            self.plan.evaluation_batch_size,
        )?;
        let stop = || observer.should_stop();
        let weights = SnapshotWeights::after(&self.state, true).weights(&self.transposed);
        let Some(evaluation) = set.evaluate(&weights, &stop)? else {
            return Ok(None);
        };
        let mut logits = None;
        if self.plan.calibrate {
            let Some(found) = set.logits(&weights, &stop)? else {
                return Ok(None);
            };
            logits = Some(self.labelled(found, self.data.test.labels.clone())?);
        }
        self.state.clock.test += began.elapsed();
        Ok(Some(TestResult { evaluation, logits }))
    }

    fn labelled(&self, logits: Vec<f32>, labels: Vec<u16>) -> Result<LabelledLogits, TrainError> {
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(self.not_finite(f64::NAN, self.state.step));
        }
        Ok(LabelledLogits {
            logits,
            labels,
            classes: self.plan.architecture.classes,
        })
    }

    /// Passes a snapshot to the observer if the publish policy requires one.
    fn publish(
        &mut self,
        tested: Option<TestResult>,
        observer: &mut dyn Observer,
    ) -> Result<Finished, TrainError> {
        let last = self.is_last_epoch();
        if self.plan.publish == PublishPolicy::Final && !last {
            return Ok(Finished::Completed);
        }
        let best = match SnapshotWeights::after(&self.state, last) {
            SnapshotWeights::Best(_, best) => Some(best),
            SnapshotWeights::Newest(_) => None,
        };
        let validation = match best {
            Some(best) => Some(best.validation),
            None => self.validate(observer)?,
        };
        let Some(validation) = validation else {
            return Ok(Finished::Stopped);
        };
        let lowest = self.state.best.is_none_or(|best| validation.loss < best);
        if lowest {
            self.state.best = Some(validation.loss);
        }
        // The weights of the best row are always published, even if an epoch's end had a lower
        // loss.
        if self.plan.publish == PublishPolicy::Best && !lowest && best.is_none() {
            return Ok(Finished::Completed);
        }
        let test = tested.as_ref().map(|tested| tested.evaluation);
        let mut fitted = None;
        if self.plan.calibrate {
            fitted = self.fit(tested, last, observer)?;
            if fitted.is_none() {
                return Ok(Finished::Stopped);
            }
        }
        let layers = SnapshotWeights::after(&self.state, last)
            .flat()
            .layers(&self.shape)?;
        let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
        if !layers.iter().all(|l| finite(&l.weight) && finite(&l.bias)) {
            return Err(self.not_finite(f64::NAN, self.state.step));
        }
        let architecture = &self.plan.architecture;
        let inputs = self.exam_inputs.clone();
        let exam = exam::compute(inputs, &layers, architecture, &self.plan.input)?;
        observer.snapshot(Snapshot {
            epoch: self.state.epoch + 1,
            step: best.map_or(self.state.step, |best| best.step),
            layers,
            exam,
            validation: Some(validation),
            test,
            train_loss: best.map_or(self.state.train_loss, |best| best.train_loss),
            temperature: fitted.as_ref().map_or(1.0, |fitted| fitted.temperature),
            calibration: fitted.map(|fitted| fitted.calibration),
        })?;
        Ok(Finished::Completed)
    }

    /// Fits a temperature for the weights that are published; `None` when stopped.
    fn fit(
        &mut self,
        tested: Option<TestResult>,
        last: bool,
        observer: &dyn Observer,
    ) -> Result<Option<FittedTemperature>, TrainError> {
        let began = Instant::now();
        let weights = SnapshotWeights::after(&self.state, last).weights(&self.transposed);
        let stop = || observer.should_stop();
        let Some(logits) = self.validation.logits(&weights, &stop)? else {
            return Ok(None);
        };
        let all = &self.data.train.labels;
        let numbers = self.split.validation.iter();
        let labels = numbers.map(|&number| all[number as usize]).collect();
        let mut fitted = temperature::fit(&self.labelled(logits, labels)?);
        if let Some(logits) = tested.and_then(|tested| tested.logits) {
            fitted = fitted.tested(&logits);
        }
        self.state.clock.validation += began.elapsed();
        Ok(Some(fitted))
    }
}
