//! The actors: thin programs around the real functions of the crate.

use super::{
    sim::Sim,
    words::{Event, Number, Sight, Stage, Until, id, number},
};
use crate::support::{draft, layers};
use digits_checkpoint::{
    Draft, Follower, LoadError, StorageError,
    id::ModelName,
    intention::{self, Ended},
    load,
    record::{Role, ServingRecord},
    retention::{Rules, apply},
    serving::{
        AppendError, Candidate, Policy, Refused, drop_candidates, head, promote, release, rollback,
    },
};
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// When it all begins.
pub const START: Duration = Duration::from_secs(1_767_225_600);

/// So many hours later.
pub fn now(hours: u8) -> Timestamp {
    Timestamp::from_second(START.as_secs() as i64 + 3600 * i64::from(hours)).unwrap()
}

/// The checkpoint of a number; higher numbers are newer.
pub fn checkpoint(number: Number) -> Draft {
    let mut draft = draft(id(number), number, 0);
    draft.manifest.created_at = now(0) + SignedDuration::from_secs(number.into());
    draft
}

/// Tries again what a cache hid: listed, but not found yet.
macro_rules! persevere {
    ($attempt:expr) => {
        loop {
            match $attempt.await {
                Err(StorageError::Missing { .. }) => {}
                other => break other,
            }
        }
    };
}

/// A trainer: takes up what an earlier life left, then publishes one checkpoint unless that was done.
/// `first` is the number of the first life's checkpoint, the others follow.
pub async fn trainer(sim: Sim, first: Number, life: u8) {
    let storage = sim.storage();
    for (number, stage) in sim.ledger().await {
        let done = match stage {
            Stage::Done => true,
            Stage::Abandoned => false,
            Stage::Planned | Stage::Committed => {
                sim.tell(Event::Begins).await;
                let ended = persevere!(intention::take_up(
                    &storage,
                    &sim,
                    id(number),
                    Policy::Latest,
                    "job"
                ));
                let done = matches!(ended, Ok(Ended::Done(_)));
                told(&sim, number, ended).await;
                sim.tell(Event::Ends).await;
                done
            }
        };
        if done {
            sim.tell(Event::Seen(Sight::TakenUp)).await;
            return;
        }
    }
    let draft = checkpoint(first + life);
    let id = draft.manifest.id;
    sim.write(id, Stage::Planned).await;
    sim.tell(Event::Begins).await;
    match intention::commit(&storage, &sim, draft).await {
        Ok(manifest) => {
            let ended = persevere!(intention::settle(
                &storage,
                &sim,
                &manifest,
                Policy::Latest,
                "job"
            ));
            told(&sim, number(id), ended).await;
        }
        // Retention came first; the intention is abandoned.
        Err(StorageError::Tombstoned { .. }) => sim.tell(Event::Seen(Sight::GivenUp)).await,
        Err(error) => unexpected(&sim, &error).await,
    }
    sim.tell(Event::Ends).await;
}

async fn told(sim: &Sim, checkpoint: Number, ended: Result<Ended, StorageError>) {
    match ended {
        Ok(Ended::Done(0)) => sim.tell(Event::Seen(Sight::HeldBack)).await,
        Ok(Ended::Done(sequence)) => {
            let sequence = u8::try_from(sequence).unwrap();
            let promoted = Event::Promoted {
                sequence,
                checkpoint,
            };
            sim.tell(promoted).await;
        }
        Ok(Ended::Abandoned) => sim.tell(Event::Seen(Sight::GivenUp)).await,
        Err(error) => unexpected(sim, &error).await,
    }
}

async fn unexpected(sim: &Sim, error: &(impl std::fmt::Display + Sync)) {
    let text: &'static str = Box::leak(error.to_string().into_boxed_str());
    sim.tell(Event::Unexpected(text)).await;
}

/// What an operator may do.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Promote(Number),
    /// A tenth of the requests.
    Canary(Number),
    /// Ends the canary.
    Drop,
    RollBack,
    Release,
}

/// An operator: one of the acts, or another, so many times.
pub async fn operator(sim: Sim, acts: &[Act], times: u8) {
    let (storage, model) = (sim.storage(), ModelName::default());
    for _ in 0..times {
        let act = acts[usize::from(sim.choose(acts.len() as u8).await)];
        let seen = persevere!(head(&storage, &model));
        let expected = match seen {
            Ok(head) => head.map_or(0, |head| head.sequence),
            Err(error) => return unexpected(&sim, &error).await,
        };
        let candidate = |number, role, share| Candidate {
            checkpoint: id(number),
            role,
            share,
        };
        sim.tell(Event::Begins).await;
        let outcome = match act {
            Act::Promote(number) => {
                let primary = candidate(number, Role::Primary, None);
                promote(&storage, &model, expected, primary, "operator").await
            }
            Act::Canary(number) => {
                let canary = candidate(number, Role::Canary, Some(0.1));
                promote(&storage, &model, expected, canary, "operator").await
            }
            Act::Drop => drop_candidates(&storage, &model, expected, "operator").await,
            Act::RollBack => rollback(&storage, &model, expected, 0, "operator").await,
            Act::Release => release(&storage, &model, expected, "operator").await,
        };
        match outcome {
            Ok(record) => sim.wrote(&record).await,
            Err(AppendError::Lost { .. }) => sim.tell(Event::Seen(Sight::Lost)).await,
            Err(AppendError::Refused(refused)) => {
                let sight = match refused {
                    Refused::Tombstoned(_) => Sight::TakenBack,
                    _ => Sight::Refused,
                };
                sim.tell(Event::Seen(sight)).await;
            }
            // The operator is told, and may try again.
            Err(AppendError::Storage(StorageError::Missing { .. })) => {}
            Err(AppendError::Storage(error)) => unexpected(&sim, &error).await,
        }
        sim.tell(Event::Ends).await;
    }
}

/// Retention that keeps nothing of its own accord, so many rounds with the grace time between them.
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
            hours = sim.wait(Until::Grace).await;
        }
        match apply(&sim.storage(), &rules, &BTreeSet::new(), now(hours)).await {
            Ok(report) => {
                for (ids, sight) in [
                    (&report.buried, Sight::Buried),
                    (&report.spared, Sight::Spared),
                    (&report.deleted, Sight::Deleted),
                ] {
                    if !ids.is_empty() {
                        sim.tell(Event::Seen(sight)).await;
                    }
                }
            }
            Err(error) => unexpected(&sim, &error).await,
        }
    }
}

/// A reader: looks so many times at any moment, and once more when all is quiet.
pub async fn reader(sim: Sim, looks: u8) {
    let storage = sim.storage();
    let mut follower =
        Follower::new(storage.clone(), ModelName::default()).with_list_interval(Duration::ZERO);
    let mut pending: Option<ServingRecord> = None;
    for look in 0..=looks {
        if look == looks {
            sim.wait(Until::Quiet).await;
        }
        match follower.poll().await {
            Ok(None) => {}
            Ok(Some(record)) => pending = Some(record),
            // Found at the next look.
            Err(StorageError::Missing { .. }) => {}
            Err(error) => unexpected(&sim, &error).await,
        }
        let Some(record) = &pending else { continue };
        let checkpoint = number(record.primary().unwrap());
        match load(&storage, id(checkpoint)).await {
            Ok(loaded) => {
                let serves = Event::Serves {
                    sequence: u8::try_from(record.sequence).unwrap(),
                    checkpoint,
                    right: loaded.layers == layers(checkpoint),
                };
                sim.tell(serves).await;
                pending = None;
            }
            // Tried again at the next look.
            Err(LoadError::Unavailable(_)) => {}
            Err(LoadError::Refused(refusal)) => unexpected(&sim, &refusal).await,
        }
    }
}
