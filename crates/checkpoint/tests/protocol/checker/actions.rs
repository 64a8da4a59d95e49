//! The effect of each operation on the model's state, and the property that it violates, if any.

use super::{
    model::{Effect, ModelState, Mutation, ProtocolModel},
    programs::has_other_data,
    properties::{DELETED, DIGEST, HOLD, ONE_RECORD, SCOPE, SERVED, TORN, TWICE},
    types::{Answer, Event, File, Key, Op, Stage, ValueId, WaitFor},
};
use digits_checkpoint::serving::Scope;

impl ProtocolModel {
    pub fn carry_out(
        &self,
        state: &mut ModelState,
        actor: usize,
        op: Op,
        effect: Effect,
    ) -> Answer {
        match (op, effect) {
            (Op::Put(key, value), effect) => self.put(state, (key, value), effect),
            (Op::Get(_) | Op::Head(_), Effect::Stale) => {
                missed(state, actor);
                Answer::Found(None)
            }
            (Op::Get(key) | Op::Head(key), _) => Answer::Found(self.read(state, actor, key)),
            (Op::ListLog(after), effect) => self.list_log(state, actor, after, effect),
            (Op::ListCheckpoints, _) => {
                let files = state.store.iter().filter(|(key, _)| !key.is_record());
                Answer::Keys(files.map(|(key, (_, hour))| (*key, *hour)).collect())
            }
            (Op::Delete(key), _) => {
                self.delete(state, key);
                Answer::Done
            }
            (Op::Write(number, stage), _) => {
                if self.mutation != Mutation::PlanLate || stage != Stage::Planned {
                    state.actors[actor].intents.insert(number, stage);
                }
                Answer::Done
            }
            (Op::ReadIntents, _) => {
                let intents = &state.actors[actor].intents;
                Answer::Intents(intents.iter().map(|(id, stage)| (*id, *stage)).collect())
            }
            (Op::Choose(_), Effect::Chosen(effect)) => Answer::Chosen(effect),
            (Op::Wait(wait), _) => {
                if wait == WaitFor::Grace {
                    state.hours += 1;
                }
                Answer::Time(state.hours)
            }
            (Op::Emit(event), _) => {
                self.observe(state, actor, event);
                Answer::Done
            }
            (Op::Transact(_), _) => panic!("transactions are no part of this model"),
            (Op::ListJournal(_), _) => panic!("the journal has a model of its own"),
            (Op::Choose(_), effect) => panic!("{effect:?} is no choice"),
        }
    }

    fn put(&self, state: &mut ModelState, (key, value): (Key, ValueId), effect: Effect) -> Answer {
        if self.mutation == Mutation::ManifestFirst
            && matches!(key, Key::File(_, File::Model | File::Exam))
        {
            state.pending_writes.insert((key, value));
            return Answer::Created;
        }
        if effect == Effect::FalselyExists {
            state.faults -= 1;
            return Answer::Exists;
        }
        if effect == Effect::RetryMeetsItself {
            state.faults -= 1;
        }
        let created = self.land(state, key, value);
        if created && matches!(key, Key::File(_, File::Tombstone)) {
            // A promotion under effect may have checked for the tombstone already.
            for other in &mut state.actors {
                other.promoting = other.promoting.map(|_| true);
            }
        }
        if created && effect == Effect::Success {
            Answer::Created
        } else {
            Answer::Exists
        }
    }

    /// Creates a key. Returns whether it was absent.
    pub fn land(&self, state: &mut ModelState, key: Key, value: ValueId) -> bool {
        if let Some((old, _)) = state.store.get(&key) {
            if self.mutation != Mutation::CreateTwice {
                return false;
            }
            if key.is_record() && *old != value {
                state.violation = Some(ONE_RECORD);
            }
        }
        let whole = |number| {
            [File::Model, File::Exam]
                .iter()
                .all(|file| state.store.contains_key(&Key::File(number, *file)))
        };
        let violation = match key {
            Key::File(number, File::Manifest) if !whole(number) => Some(TORN),
            Key::Record(sequence) => self.wrong_record(state, sequence, value),
            Key::File(..) | Key::Run(_) | Key::Journal(_) => None,
        };
        state.violation = state.violation.or(violation);
        state.store.insert(key, (value, state.hours));
        true
    }

    /// The property that a record violates when it is written.
    fn wrong_record(
        &self,
        state: &ModelState,
        sequence: u8,
        value: ValueId,
    ) -> Option<&'static str> {
        let content = self.replay.table.content(value);
        let before = |sequence| {
            let (value, _) = state.store.get(&Key::Record(sequence))?;
            Some(self.replay.table.content(*value))
        };
        if sequence > 1 && before(sequence - 1).is_none() {
            return Some(ONE_RECORD);
        }
        let there = |number| {
            let manifest = Key::File(number, File::Manifest);
            state.store.contains_key(&manifest)
        };
        if self.grace_holds && !content.checkpoints().all(there) {
            return Some(DELETED);
        }
        let differs = |(number, digest)| {
            let manifest = state.store.get(&Key::File(number, File::Manifest));
            manifest.is_some_and(|(value, _)| self.replay.table.digest(*value) != digest)
        };
        if content.promised().any(differs) {
            return Some(DIGEST);
        }
        if !content.published {
            return None;
        }
        if sequence > 1 {
            let replaced = before(sequence - 1)?;
            if replaced.hold {
                return Some(HOLD);
            }
            let differs = has_other_data(replaced.primary) != has_other_data(content.primary);
            if self.scope == Scope::SameData && differs {
                return Some(SCOPE);
            }
        }
        (1..sequence)
            .filter_map(before)
            .any(|earlier| earlier.published && earlier.primary == content.primary)
            .then_some(TWICE)
    }

    fn read(&self, state: &ModelState, actor: usize, key: Key) -> Option<ValueId> {
        let found = state.store.get(&key).map(|(value, _)| *value);
        let at = state.actors[actor].at;
        let is_trainer = !state.actors[actor].intents.is_empty();
        match (self.mutation, key) {
            (Mutation::SkipCheckAfterWrite, Key::File(_, File::Tombstone))
                if self.retention != Some(actor) && self.replay.wrote_record(at) =>
            {
                None
            }
            (Mutation::SkipCheckAfterWrite, Key::File(number, File::Manifest))
                if self.retention != Some(actor) && self.replay.wrote_record(at) =>
            {
                // As if it were not read again: the manifest of the initial state is still there.
                self.initial
                    .get(&Key::File(number, File::Manifest))
                    .copied()
                    .or(found)
            }
            (Mutation::SkipComparison, Key::File(number, File::Manifest))
                if is_trainer && !state.actors[actor].intents.contains_key(&number) =>
            {
                None
            }
            (Mutation::IgnoreHold, Key::Record(_)) if is_trainer => {
                found.map(|value| self.replay.table.without_hold(value))
            }
            (Mutation::ForgetPromotions, Key::Record(sequence)) if is_trainer => {
                let head = state.store.contains_key(&Key::Record(sequence + 1));
                found.filter(|_| !head)
            }
            _ => found,
        }
    }

    fn list_log(&self, state: &mut ModelState, actor: usize, after: u8, effect: Effect) -> Answer {
        let mut keys: Vec<(Key, u8)> = state
            .store
            .iter()
            .filter(|(key, _)| matches!(key, Key::Record(sequence) if *sequence > after))
            .map(|(key, (_, hour))| (*key, *hour))
            .collect();
        if effect == Effect::Stale {
            missed(state, actor);
            keys.pop();
        }
        if self.mutation == Mutation::SkipSecondRead && self.retention == Some(actor) {
            keys.retain(|(_, hour)| *hour == 0);
        }
        Answer::Keys(keys)
    }

    fn delete(&self, state: &mut ModelState, key: Key) {
        state.store.remove(&key);
        let Key::File(number, file) = key else {
            state.violation = Some("records are never deleted");
            return;
        };
        match file {
            File::Manifest if self.grace_holds => {
                let records = state.store.iter().filter(|(key, _)| key.is_record());
                let mut named = records
                    .flat_map(|(_, (value, _))| self.replay.table.content(*value).checkpoints());
                if named.any(|named| named == number) {
                    state.violation = Some(DELETED);
                }
            }
            File::Model | File::Exam
                if state.store.contains_key(&Key::File(number, File::Manifest)) =>
            {
                state.violation = Some(TORN);
            }
            _ => {}
        }
    }

    fn observe(&self, state: &mut ModelState, actor: usize, event: Event) {
        let record = |sequence| state.store.get(&Key::Record(sequence)).map(|it| it.0);
        let names = |sequence, checkpoint| {
            record(sequence).is_some_and(|it| self.replay.table.content(it).primary == checkpoint)
        };
        match event {
            Event::Begins => state.actors[actor].promoting = Some(false),
            Event::Ends => state.actors[actor].promoting = None,
            Event::Wrote { sequence, value } => {
                if record(sequence) != Some(value) {
                    state.violation = Some(ONE_RECORD);
                }
            }
            Event::Promoted {
                sequence,
                checkpoint,
            } => {
                if !names(sequence, checkpoint) {
                    state.violation = Some(ONE_RECORD);
                }
            }
            Event::Serves {
                sequence,
                checkpoint,
                right,
            } => {
                let there = state
                    .store
                    .contains_key(&Key::File(checkpoint, File::Manifest));
                if !right || !names(sequence, checkpoint) || self.grace_holds && !there {
                    state.violation = Some(SERVED);
                }
                state.actors[actor].serving = Some((sequence, checkpoint));
            }
            Event::Opened { .. } | Event::Stored { .. } => {
                panic!("the journal has a model of its own")
            }
            Event::Unexpected(text) => state.violation = Some(text),
            Event::Reached(reached) => {
                self.coverage.lock().unwrap().insert(reached);
            }
        }
    }
}

/// A stale read: retention's grace time covers a promotion that relies on it.
fn missed(state: &mut ModelState, actor: usize) {
    state.stale -= 1;
    let promotes = &mut state.actors[actor].promoting;
    *promotes = promotes.map(|_| true);
}
