//! The trials of the next rung, of the results of the one before.

use super::{ranking::best_configurations, rungs::Rung, trial::NewTrial};
use crate::wire::{FieldError, ParameterField, SpecMessage};
use digits_checkpoint::manifest::Evaluation;
use std::collections::BTreeMap;

/// A trial of a rung that is over.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    /// The trial as it was stored.
    pub(super) trial: NewTrial,
    /// Its result, if it has one.
    pub(super) result: Option<Evaluation>,
}

/// The best configurations of a rung, each with all of its seeds, for the epochs of `next`. Empty
/// where no trial has a result. Numbers begin after those of `finished`.
///
/// # Errors
/// [`FieldError`] where a stored spec has no epochs, which all specs have.
pub(super) fn next_trials(
    sweep: &str,
    finished: &[Finished],
    next: Rung,
) -> Result<Vec<NewTrial>, FieldError> {
    let results = finished
        .iter()
        .filter_map(|it| Some((it.trial.configuration, it.result?)));
    let best = best_configurations(results, next.configurations as usize);
    let mut number = finished.iter().map(|it| it.trial.number).max().unwrap_or(0);
    let mut by_configuration: BTreeMap<u32, Vec<&NewTrial>> = BTreeMap::new();
    for Finished { trial, .. } in finished {
        by_configuration
            .entry(trial.configuration)
            .or_default()
            .push(trial);
    }
    let mut trials = Vec::new();
    // The best one first: a rung that is interrupted has the most promising results.
    for trial in best
        .iter()
        .filter_map(|it| by_configuration.get(it))
        .flatten()
    {
        number += 1;
        trials.push(NewTrial {
            number,
            epochs: next.epochs,
            spec: respecified(&trial.spec, sweep, number, next.epochs)?,
            ..(*trial).clone()
        });
    }
    Ok(trials)
}

fn respecified(
    spec: &SpecMessage,
    sweep: &str,
    number: u32,
    epochs: u32,
) -> Result<SpecMessage, FieldError> {
    let epochs = ParameterField::find("epochs", spec, spec)?.set(spec, &epochs.to_string())?;
    Ok(epochs.of_trial(sweep, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(number: u32, configuration: u32, correct: Option<u64>) -> Finished {
        let spec = SpecMessage::from_json(r#"{"name": "try", "epochs": 1}"#).expect("a spec");
        Finished {
            trial: NewTrial {
                number,
                configuration,
                values: vec![configuration.to_string()],
                seed: u64::from(number),
                epochs: 1,
                spec: spec.of_trial("s", number),
            },
            result: correct.map(|correct| Evaluation {
                images: 100,
                correct,
                loss: 0.5,
                loss_batch_mean: 0.5,
                batch_size: 10,
            }),
        }
    }

    #[test]
    fn the_best_configurations_go_on_with_all_seeds_and_more_epochs() {
        let before = [
            finished(1, 1, Some(90)),
            finished(2, 1, Some(80)),
            finished(3, 2, Some(99)),
            finished(4, 2, None),
            finished(5, 3, None),
            finished(6, 3, None),
        ];
        let next = Rung {
            epochs: 3,
            configurations: 2,
        };
        let trials = next_trials("s", &before, next).expect("trials");
        let found: Vec<_> = trials
            .iter()
            .map(|it| (it.number, it.configuration, it.seed, it.epochs))
            .collect();
        assert_eq!(
            found,
            [(7, 2, 3, 3), (8, 2, 4, 3), (9, 1, 1, 3), (10, 1, 2, 3)]
        );
        let spec = trials[3].spec.request();
        assert_eq!((spec.epochs, spec.name.as_str()), (Some(3), "try/10"));
        assert_eq!(spec.labels["trial"], "10");
    }

    #[test]
    fn without_a_result_there_is_no_next_rung() {
        let next = Rung {
            epochs: 3,
            configurations: 2,
        };
        assert!(
            next_trials("s", &[finished(1, 1, None)], next)
                .expect("trials")
                .is_empty()
        );
    }
}
