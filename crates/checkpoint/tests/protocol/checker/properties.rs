//! The properties: invariants of every state, liveness of terminal ones.

use super::{
    model::{ModelState, ProtocolModel},
    types::{File, Key, Number, Op, Stage},
};
use stateright::{Model as _, Property};

pub const TORN: &str = "a manifest never exists without its files";
pub const ONE_RECORD: &str = "a sequence number has one record by one writer";
pub const HOLD: &str = "a policy never overrides a hold";
pub const TWICE: &str = "a policy promotes a checkpoint once";
pub const SCOPE: &str = "a job that names no model never replaces a checkpoint of other data";
pub const DIGEST: &str = "a record has the digest of each manifest that it names";
pub const SERVED: &str = "a reader serves only committed, complete checkpoints that a record names";
pub const DELETED: &str = "a checkpoint that a record names is not deleted";
pub const ENDED: &str = "every publication is completed or abandoned";
pub const STUCK: &str = "no actor waits forever";
pub const QUIET: &str = "finally the newest record is served";

impl ProtocolModel {
    /// Whether all actors have finished and no write is pending.
    fn is_terminal(&self, state: &ModelState) -> bool {
        state.pending_writes.is_empty()
            && (0..state.actors.len()).all(|actor| self.next(state, actor).is_none())
    }

    /// The newest record, its primary, and whether all of its checkpoints exist.
    fn head(&self, state: &ModelState) -> Option<(u8, Number, bool)> {
        let records = state.store.iter().rev();
        let mut newest = records.filter(|(key, _)| key.is_record());
        let (Key::Record(sequence), (value, _)) = newest.next()? else {
            return None;
        };
        let content = self.replay.table.content(*value);
        let there = content.checkpoints().all(|number| {
            let manifest = Key::File(number, File::Manifest);
            state.store.contains_key(&manifest)
        });
        Some((*sequence, content.primary, there))
    }

    /// Whether every checkpoint that a trainer wrote is in an intent log, and completed or
    /// abandoned.
    fn all_ended(&self, state: &ModelState) -> bool {
        let entries = || state.actors.iter().flat_map(|actor| &actor.intents);
        let ended = |stage: &Stage| matches!(stage, Stage::Completed | Stage::Abandoned);
        let mut brought = state.store.keys().filter_map(|key| match key {
            Key::File(number, _) if !self.initial.contains_key(key) => Some(number),
            _ => None,
        });
        entries().all(|(_, stage)| ended(stage))
            && brought.all(|number| {
                let initial = Key::File(*number, File::Manifest);
                self.initial.contains_key(&initial) || entries().any(|(known, _)| known == number)
            })
    }
}

/// All properties.
pub fn all() -> Vec<Property<ProtocolModel>> {
    macro_rules! never {
        ($name:ident) => {
            Property::<ProtocolModel>::always($name, |_, state| state.violation != Some($name))
        };
    }
    const EXPECTED: &str = "no program gets an unexpected error";
    vec![
        never!(TORN),
        never!(ONE_RECORD),
        never!(HOLD),
        never!(TWICE),
        never!(SCOPE),
        never!(DIGEST),
        never!(SERVED),
        never!(DELETED),
        Property::always(EXPECTED, |_, state: &ModelState| {
            let known = [
                TORN, ONE_RECORD, HOLD, TWICE, SCOPE, DIGEST, SERVED, DELETED,
            ];
            state
                .violation
                .is_none_or(|violation| known.contains(&violation))
        }),
        Property::always(ENDED, |model: &ProtocolModel, state: &ModelState| {
            !model.is_terminal(state) || model.all_ended(state)
        }),
        Property::always(STUCK, |model: &ProtocolModel, state: &ModelState| {
            let mut actions = Vec::new();
            let waits = |actor| matches!(model.next(state, actor), None | Some(Op::Wait(_)));
            let all_wait = (0..state.actors.len()).all(waits);
            if all_wait && !model.is_terminal(state) {
                model.actions(state, &mut actions);
                return !actions.is_empty();
            }
            true
        }),
        Property::always(QUIET, |model: &ProtocolModel, state: &ModelState| {
            let (serves, head) = (state.actors[model.reader].serving, model.head(state));
            let served = head.is_some_and(|(sequence, checkpoint, there)| {
                there && serves == Some((sequence, checkpoint))
            });
            !model.is_terminal(state) || served
        }),
        Property::sometimes(
            "the newest record is served, and at once where the reader polls early",
            |model: &ProtocolModel, state| {
                let head = model.head(state);
                let serves = state.actors[model.reader].serving;
                model.polls_early != model.is_terminal(state)
                    && head.is_some_and(|(sequence, checkpoint, _)| {
                        sequence > 1 && serves == Some((sequence, checkpoint))
                    })
            },
        ),
    ]
}
