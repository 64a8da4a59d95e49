//! What must hold in every moment of the world.

use super::{
    words::{File, Key, Number, Op, Stage},
    world::{Moment, World},
};
use stateright::{Model as _, Property};

pub const TORN: &str = "a manifest never stands without its files";
pub const ONE_RECORD: &str = "a sequence number has one record, which is its writer's alone";
pub const HOLD: &str = "no hold is passed by a policy";
pub const TWICE: &str = "nothing is promoted twice by a policy";
pub const SERVED: &str = "a reader serves only what is committed, whole and named by a record";
pub const DELETED: &str = "what a record names is not deleted";
pub const ENDED: &str = "every intention ends";
pub const STUCK: &str = "nobody waits for ever";
pub const QUIET: &str = "in the end the newest record can be served, and is";

impl World {
    /// Whether nothing can happen any more because all is done.
    fn is_over(&self, moment: &Moment) -> bool {
        moment.underway.is_empty()
            && (0..moment.actors.len()).all(|actor| self.next(moment, actor).is_none())
    }

    /// The newest record, its primary, and whether all that it names is there.
    fn head(&self, moment: &Moment) -> Option<(u8, Number, bool)> {
        let records = moment.store.iter().rev();
        let mut newest = records.filter(|(key, _)| key.is_record());
        let (Key::Record(sequence), (value, _)) = newest.next()? else {
            return None;
        };
        let said = self.replay.table.said(*value);
        let there = said.names().all(|number| {
            let manifest = Key::File(number, File::Manifest);
            moment.store.contains_key(&manifest)
        });
        Some((*sequence, said.primary, there))
    }

    /// Whether every checkpoint that a trainer brought to the storage is in a ledger, and ended.
    fn all_ended(&self, moment: &Moment) -> bool {
        let entries = || moment.actors.iter().flat_map(|actor| &actor.ledger);
        let ended = |stage: &Stage| matches!(stage, Stage::Done | Stage::Abandoned);
        let mut brought = moment.store.keys().filter_map(|key| match key {
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

/// Every promise as a property.
pub fn all() -> Vec<Property<World>> {
    macro_rules! never {
        ($name:ident) => {
            Property::<World>::always($name, |_, moment| moment.broken != Some($name))
        };
    }
    const EXPECTED: &str = "no program meets what it should not";
    vec![
        never!(TORN),
        never!(ONE_RECORD),
        never!(HOLD),
        never!(TWICE),
        never!(SERVED),
        never!(DELETED),
        Property::always(EXPECTED, |_, moment: &Moment| {
            let known = [TORN, ONE_RECORD, HOLD, TWICE, SERVED, DELETED];
            moment.broken.is_none_or(|broken| known.contains(&broken))
        }),
        Property::always(ENDED, |world: &World, moment: &Moment| {
            !world.is_over(moment) || world.all_ended(moment)
        }),
        Property::always(STUCK, |world: &World, moment: &Moment| {
            let mut happens = Vec::new();
            let waits = |actor| matches!(world.next(moment, actor), None | Some(Op::Wait(_)));
            let all_wait = (0..moment.actors.len()).all(waits);
            if all_wait && !world.is_over(moment) {
                world.actions(moment, &mut happens);
                return !happens.is_empty();
            }
            true
        }),
        Property::always(QUIET, |world: &World, moment: &Moment| {
            let (serves, head) = (moment.actors[world.reader].serves, world.head(moment));
            let served = head.is_some_and(|(sequence, checkpoint, there)| {
                there && serves == Some((sequence, checkpoint))
            });
            !world.is_over(moment) || served
        }),
        Property::sometimes(
            "the newest record is served, and at once where the reader looks early",
            |world: &World, moment| {
                let head = world.head(moment);
                let serves = moment.actors[world.reader].serves;
                world.early != world.is_over(moment)
                    && head.is_some_and(|(sequence, checkpoint, _)| {
                        sequence > 1 && serves == Some((sequence, checkpoint))
                    })
            },
        ),
    ]
}
