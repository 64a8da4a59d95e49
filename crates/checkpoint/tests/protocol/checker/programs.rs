//! The actors: programs that call the functions of the crate.

use super::{
    sim::Sim,
    types::{Coverage, Event, Number, Stage, WaitFor, id, now, number},
};
use crate::support::{draft, layers};
use digits_checkpoint::{
    Draft, Follower, LoadError, StorageError, fetch,
    id::ModelName,
    publication::{self, Outcome},
    record::{Role, ServingRecord},
    retention::{Rules, apply},
    serving::{
        AppendError, Candidate, NotPromoted, PromotionError, PromotionRules, Scope,
        drop_candidates, head, promote, release, rollback,
    },
};
use jiff::SignedDuration;
use std::{collections::BTreeSet, time::Duration};

/// First numbers of the two trainers' checkpoints, which are newer than those of the initial state.
pub const TRAINERS: [Number; 2] = [0x10, 0x20];

/// The checkpoint of a number; higher numbers are newer. Those of the second trainer are trained on
/// other data.
pub fn checkpoint(number: Number) -> Draft {
    let mut draft = draft(id(number), number, 0);
    let data = if has_other_data(number) {
        "letters"
    } else {
        "digits"
    };
    draft.manifest.lineage.dataset = data.to_owned();
    draft.manifest.lineage.dataset_digest = data.to_owned();
    draft.manifest.created_at = now(0) + SignedDuration::from_secs(number.into());
    draft
}

/// Whether the checkpoint of a number is trained on other data than those of the initial state.
pub fn has_other_data(number: Number) -> bool {
    number >= TRAINERS[1]
}

/// Retries a key that was listed but is not readable yet.
macro_rules! retry_while_missing {
    ($attempt:expr) => {
        loop {
            match $attempt.await {
                Err(StorageError::Missing { .. }) => {}
                other => break other,
            }
        }
    };
}

/// A trainer: recovers unfinished publications, then publishes one checkpoint unless a recovered
/// one was completed. `life` counts its restarts; the first life publishes checkpoint `first`, the
/// others the next ones.
pub async fn trainer(sim: Sim, first: Number, life: u8, scope: Scope) {
    let storage = sim.storage();
    let rules = PromotionRules {
        scope,
        ..PromotionRules::default()
    };
    for (number, stage) in sim.intents().await {
        let done = match stage {
            Stage::Completed => true,
            Stage::Abandoned => false,
            Stage::Planned | Stage::Committed => {
                sim.emit(Event::Begins).await;
                let ended = retry_while_missing!(publication::recover(
                    &storage,
                    &sim,
                    id(number),
                    rules,
                    "job"
                ));
                let done = matches!(ended, Ok(Outcome::Completed(_)));
                report_outcome(&sim, number, ended).await;
                sim.emit(Event::Ends).await;
                done
            }
        };
        if done {
            sim.emit(Event::Reached(Coverage::Recovered)).await;
            return;
        }
    }
    let draft = checkpoint(first + life);
    let id = draft.manifest.id;
    sim.write(id, Stage::Planned).await;
    sim.emit(Event::Begins).await;
    match publication::commit(&storage, &sim, draft).await {
        Ok(manifest) => {
            let ended = retry_while_missing!(publication::finalize(
                &storage, &sim, &manifest, rules, "job"
            ));
            report_outcome(&sim, number(id), ended).await;
        }
        // Retention marked it first.
        Err(StorageError::Tombstoned { .. }) => sim.emit(Event::Reached(Coverage::Abandoned)).await,
        Err(error) => unexpected(&sim, &error).await,
    }
    sim.emit(Event::Ends).await;
}

async fn report_outcome(sim: &Sim, checkpoint: Number, ended: Result<Outcome, StorageError>) {
    match ended {
        Ok(Outcome::Completed(decision)) if decision.sequence == 0 => {
            let reached = match decision.not_promoted {
                Some(NotPromoted::OtherData) => Coverage::OtherData,
                _ => Coverage::NotPromoted,
            };
            sim.emit(Event::Reached(reached)).await;
        }
        Ok(Outcome::Completed(decision)) => {
            let sequence = u8::try_from(decision.sequence).unwrap();
            let promoted = Event::Promoted {
                sequence,
                checkpoint,
            };
            sim.emit(promoted).await;
        }
        Ok(Outcome::Abandoned) => sim.emit(Event::Reached(Coverage::Abandoned)).await,
        Err(error) => unexpected(sim, &error).await,
    }
}

async fn unexpected(sim: &Sim, error: &(impl std::fmt::Display + Sync)) {
    let text: &'static str = Box::leak(error.to_string().into_boxed_str());
    sim.emit(Event::Unexpected(text)).await;
}

/// A change by an operator.
#[derive(Clone, Copy, Debug)]
pub enum OperatorAction {
    Promote(Number),
    /// With a tenth of the requests.
    Canary(Number),
    /// Drops the canary.
    Drop,
    RollBack,
    Release,
}

/// An operator: `times` times one of `actions`.
pub async fn operator(sim: Sim, actions: &[OperatorAction], times: u8) {
    let (storage, model) = (sim.storage(), ModelName::default());
    for _ in 0..times {
        let act = actions[usize::from(sim.choose(actions.len() as u8).await)];
        let seen = retry_while_missing!(head(&storage, &model));
        let expected = match seen {
            Ok(head) => head.map_or(0, |head| head.sequence),
            Err(error) => return unexpected(&sim, &error).await,
        };
        let candidate = |number, role, share| Candidate {
            checkpoint: id(number),
            role,
            share,
        };
        sim.emit(Event::Begins).await;
        let outcome = match act {
            OperatorAction::Promote(number) => {
                let primary = candidate(number, Role::Primary, None);
                promote(&storage, &model, expected, primary, "operator").await
            }
            OperatorAction::Canary(number) => {
                let canary = candidate(number, Role::Canary, Some(0.1));
                promote(&storage, &model, expected, canary, "operator").await
            }
            OperatorAction::Drop => drop_candidates(&storage, &model, expected, "operator").await,
            OperatorAction::RollBack => rollback(&storage, &model, expected, 0, "operator").await,
            OperatorAction::Release => release(&storage, &model, expected, "operator").await,
        };
        match outcome {
            Ok(record) => sim.wrote(&record).await,
            Err(AppendError::Lost { .. }) => sim.emit(Event::Reached(Coverage::Lost)).await,
            Err(AppendError::Refused(refused)) => {
                let reached = match refused {
                    PromotionError::Tombstoned(_) => Coverage::Reverted,
                    _ => Coverage::Refused,
                };
                sim.emit(Event::Reached(reached)).await;
            }
            // The operator gets the error and may retry.
            Err(AppendError::Storage(StorageError::Missing { .. })) => {}
            Err(AppendError::Storage(error)) => unexpected(&sim, &error).await,
        }
        sim.emit(Event::Ends).await;
    }
}

/// Retention with rules that keep nothing: `rounds` sweeps with the grace time between them.
pub async fn retention(sim: Sim, rounds: u8, abandoned_after: SignedDuration) {
    let rules = Rules {
        keep_newest: 0,
        keep_younger: SignedDuration::ZERO,
        grace: SignedDuration::from_hours(1),
        abandoned_after,
    };
    let mut hours = 1;
    for round in 0..rounds {
        if round > 0 {
            hours = sim.wait(WaitFor::Grace).await;
        }
        match apply(&sim.storage(), &rules, &BTreeSet::new(), now(hours)).await {
            Ok(report) => {
                for (ids, reached) in [
                    (&report.buried, Coverage::Buried),
                    (&report.spared, Coverage::Spared),
                    (&report.deleted, Coverage::Deleted),
                ] {
                    if !ids.is_empty() {
                        sim.emit(Event::Reached(reached)).await;
                    }
                }
            }
            Err(error) => unexpected(&sim, &error).await,
        }
    }
}

/// A reader: polls `polls` times at any moment, and again when all others have finished.
pub async fn reader(sim: Sim, polls: u8) {
    let storage = sim.storage();
    let mut follower =
        Follower::new(storage.clone(), ModelName::default()).with_list_interval(Duration::ZERO);
    let mut pending: Option<ServingRecord> = None;
    for poll in 0..=polls {
        if poll == polls {
            sim.wait(WaitFor::Quiet).await;
        }
        match follower.poll().await {
            Ok(None) => {}
            Ok(Some(record)) => pending = Some(record),
            // Found at the next poll.
            Err(StorageError::Missing { .. }) => {}
            Err(error) => unexpected(&sim, &error).await,
        }
        let Some(record) = &pending else { continue };
        let checkpoint = number(record.primary().unwrap());
        let promised = record.routes[0].manifest_sha256.as_deref();
        let loaded = match fetch(&storage, id(checkpoint), promised).await {
            Ok(fetched) => fetched.verify().map_err(LoadError::from),
            Err(error) => Err(error),
        };
        match loaded {
            Ok(loaded) => {
                let serves = Event::Serves {
                    sequence: u8::try_from(record.sequence).unwrap(),
                    checkpoint,
                    right: loaded.layers == layers(checkpoint),
                };
                sim.emit(serves).await;
                pending = None;
            }
            // Retried at the next poll.
            Err(LoadError::Unavailable(_)) => {}
            Err(LoadError::Refused(refusal)) => unexpected(&sim, &refusal).await,
        }
    }
}
