//! What comes after the steps of an epoch: the test where it is the last one, a temperature, a snapshot.
//!
//! With early stopping the last snapshot is of the best weights, and so is the test.

use super::calibrate::{self, Answers, Fitted};
use super::network::Weights;
use super::parameters::Flat;
use super::resident::Resident;
use super::setup::Training;
use super::state::State;
use super::stopping::{Best, Stopping};
use super::validation::EvaluationSet;
use super::{Finished, Observer, PublishPolicy, Snapshot, TrainError, exam};
use digits_checkpoint::manifest::Evaluation;
use std::time::Instant;
use tch::Tensor;

/// The finished network on the test images.
struct Tested {
    evaluation: Evaluation,
    /// What it answers, where a temperature is fitted.
    answers: Option<Answers>,
}

/// The weights that are tested and handed out after an epoch.
enum Chosen<'a> {
    Newest(&'a State),
    Best(&'a Stopping, Best),
}

impl<'a> Chosen<'a> {
    /// After the last epoch the best, where there is patience and so there are some.
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

    /// For a pass; `transposed` are the views of the state's parameters.
    fn weights(&self, transposed: &'a [Tensor]) -> Weights<'a> {
        match self {
            Self::Newest(state) => state.newest_weights(transposed),
            Self::Best(stopping, _) => Weights::new(&stopping.weights, &stopping.transposed),
        }
    }
}

impl Training<'_> {
    /// What comes after the steps of an epoch; `test` is set where it was the last one.
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

    /// Whether no epoch comes after the one whose steps have just been made.
    fn is_last_epoch(&self) -> bool {
        self.state.epoch + 1 == self.plan.epochs || self.state.is_over()
    }

    /// The finished network on the test images; `None` when stopped.
    fn test(&mut self, observer: &dyn Observer) -> Result<Option<Tested>, TrainError> {
        let began = Instant::now();
        let mut set = EvaluationSet::new(
            Resident::upload(&self.data.test, self.plan.device.torch())?,
            &self.shape,
            self.plan.architecture.activation,
            self.plan.input,
            self.plan.evaluation_batch_size,
        )?;
        let stop = || observer.should_stop();
        let weights = Chosen::after(&self.state, true).weights(&self.transposed);
        let Some(evaluation) = set.evaluate(&weights, &stop)? else {
            return Ok(None);
        };
        let mut answers = None;
        if self.plan.calibrate {
            let Some(logits) = set.logits(&weights, &stop)? else {
                return Ok(None);
            };
            answers = Some(self.answers(logits, self.data.test.labels.clone())?);
        }
        self.state.clock.test += began.elapsed();
        Ok(Some(Tested {
            evaluation,
            answers,
        }))
    }

    fn answers(&self, logits: Vec<f32>, labels: Vec<u16>) -> Result<Answers, TrainError> {
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(self.not_finite(f64::NAN, self.state.step));
        }
        Ok(Answers {
            logits,
            labels,
            classes: self.plan.architecture.classes,
        })
    }

    /// Hands out a snapshot, where the policy wants one.
    fn publish(
        &mut self,
        tested: Option<Tested>,
        observer: &mut dyn Observer,
    ) -> Result<Finished, TrainError> {
        let last = self.is_last_epoch();
        if self.plan.publish == PublishPolicy::Final && !last {
            return Ok(Finished::Completed);
        }
        let best = match Chosen::after(&self.state, last) {
            Chosen::Best(_, best) => Some(best),
            Chosen::Newest(_) => None,
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
        // The best row of all is always worth it, though the end of an epoch may have been lower.
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
        let layers = Chosen::after(&self.state, last)
            .flat()
            .layers(&self.shape)?;
        let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
        if !layers.iter().all(|l| finite(&l.weight) && finite(&l.bias)) {
            return Err(self.not_finite(f64::NAN, self.state.step));
        }
        let architecture = &self.plan.architecture;
        let questions = self.questions.clone();
        let exam = exam::answer(questions, &layers, architecture, &self.plan.input)?;
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

    /// A temperature for the weights that are handed out; `None` when stopped.
    fn fit(
        &mut self,
        tested: Option<Tested>,
        last: bool,
        observer: &dyn Observer,
    ) -> Result<Option<Fitted>, TrainError> {
        let began = Instant::now();
        let weights = Chosen::after(&self.state, last).weights(&self.transposed);
        let stop = || observer.should_stop();
        let Some(logits) = self.validation.logits(&weights, &stop)? else {
            return Ok(None);
        };
        let all = &self.data.train.labels;
        let numbers = self.division.validation.iter();
        let labels = numbers.map(|&number| all[number as usize]).collect();
        let mut fitted = calibrate::fit(&self.answers(logits, labels)?);
        if let Some(answers) = tested.and_then(|tested| tested.answers) {
            fitted = fitted.tested(&answers);
        }
        self.state.clock.validation += began.elapsed();
        Ok(Some(fitted))
    }
}
