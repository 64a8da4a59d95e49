//! What each operation does to the world, and what is found broken by it.

use super::{
    promises::{DELETED, HOLD, ONE_RECORD, SERVED, TORN, TWICE},
    values::ValueId,
    words::{Answer, Event, File, Key, Op, Stage, Until},
    world::{Breach, Moment, Way, World},
};

impl World {
    pub fn carry_out(&self, moment: &mut Moment, actor: usize, op: Op, way: Way) -> Answer {
        match (op, way) {
            (Op::Put(key, value), way) => self.put(moment, (key, value), way),
            (Op::Get(_) | Op::Head(_), Way::Stale) => {
                missed(moment, actor);
                Answer::Found(None)
            }
            (Op::Get(key) | Op::Head(key), _) => Answer::Found(self.look(moment, actor, key)),
            (Op::ListLog(after), way) => self.list_log(moment, actor, after, way),
            (Op::ListCheckpoints, _) => {
                let files = moment.store.iter().filter(|(key, _)| !key.is_record());
                Answer::Keys(files.map(|(key, (_, hour))| (*key, *hour)).collect())
            }
            (Op::Delete(key), _) => {
                self.delete(moment, key);
                Answer::Done
            }
            (Op::Write(number, stage), _) => {
                if self.breach != Breach::PlansLate || stage != Stage::Planned {
                    moment.actors[actor].ledger.insert(number, stage);
                }
                Answer::Done
            }
            (Op::ReadLedger, _) => {
                let ledger = &moment.actors[actor].ledger;
                Answer::Ledger(ledger.iter().map(|(id, stage)| (*id, *stage)).collect())
            }
            (Op::Choose(_), Way::Chosen(way)) => Answer::Chosen(way),
            (Op::Wait(until), _) => {
                if until == Until::Grace {
                    moment.hours += 1;
                }
                Answer::Time(moment.hours)
            }
            (Op::Tell(event), _) => {
                self.hear(moment, actor, event);
                Answer::Done
            }
            (Op::Choose(_), way) => panic!("{way:?} is no choice"),
        }
    }

    fn put(&self, moment: &mut Moment, (key, value): (Key, ValueId), way: Way) -> Answer {
        if self.breach == Breach::ManifestFirst
            && matches!(key, Key::File(_, File::Model | File::Exam))
        {
            moment.underway.insert((key, value));
            return Answer::Created;
        }
        if way == Way::Nothing {
            moment.faults -= 1;
            return Answer::Exists;
        }
        if way == Way::MeetsItself {
            moment.faults -= 1;
        }
        let created = self.land(moment, key, value);
        if created && matches!(key, Key::File(_, File::Tombstone)) {
            // What promotes now may have looked for it already.
            for other in &mut moment.actors {
                other.promotes = other.promotes.map(|_| true);
            }
        }
        if created && way == Way::Well {
            Answer::Created
        } else {
            Answer::Exists
        }
    }

    /// Creates a key; whether it was absent.
    pub fn land(&self, moment: &mut Moment, key: Key, value: ValueId) -> bool {
        if let Some((old, _)) = moment.store.get(&key) {
            if self.breach != Breach::CreatesTwice {
                return false;
            }
            if key.is_record() && *old != value {
                moment.broken = Some(ONE_RECORD);
            }
        }
        let whole = |number| {
            [File::Model, File::Exam]
                .iter()
                .all(|file| moment.store.contains_key(&Key::File(number, *file)))
        };
        let broken = match key {
            Key::File(number, File::Manifest) if !whole(number) => Some(TORN),
            Key::Record(sequence) => self.wrong_record(moment, sequence, value),
            Key::File(..) => None,
        };
        moment.broken = moment.broken.or(broken);
        moment.store.insert(key, (value, moment.hours));
        true
    }

    /// What is wrong with a record that is just being written.
    fn wrong_record(&self, moment: &Moment, sequence: u8, value: ValueId) -> Option<&'static str> {
        let said = self.replay.table.said(value);
        let before = |sequence| {
            let (value, _) = moment.store.get(&Key::Record(sequence))?;
            Some(self.replay.table.said(*value))
        };
        if sequence > 1 && before(sequence - 1).is_none() {
            return Some(ONE_RECORD);
        }
        let there = |number| {
            let manifest = Key::File(number, File::Manifest);
            moment.store.contains_key(&manifest)
        };
        if self.grace_holds && !said.names().all(there) {
            return Some(DELETED);
        }
        if !said.published {
            return None;
        }
        if sequence > 1 && before(sequence - 1)?.hold {
            return Some(HOLD);
        }
        (1..sequence)
            .filter_map(before)
            .any(|earlier| earlier.published && earlier.primary == said.primary)
            .then_some(TWICE)
    }

    fn look(&self, moment: &Moment, actor: usize, key: Key) -> Option<ValueId> {
        let found = moment.store.get(&key).map(|(value, _)| *value);
        let at = moment.actors[actor].at;
        let is_trainer = !moment.actors[actor].ledger.is_empty();
        match (self.breach, key) {
            (Breach::BlindAfterWriting, Key::File(_, File::Tombstone))
                if self.retention != Some(actor) && self.replay.wrote_record(at) =>
            {
                None
            }
            (Breach::BlindAfterWriting, Key::File(number, File::Manifest))
                if self.retention != Some(actor) && self.replay.wrote_record(at) =>
            {
                // As if it had not been asked for: what was there in the beginning is.
                self.initial
                    .get(&Key::File(number, File::Manifest))
                    .copied()
                    .or(found)
            }
            (Breach::PassesHolds, Key::Record(_)) if is_trainer => {
                found.map(|value| self.replay.table.without_hold(value))
            }
            (Breach::ForgetsPromotions, Key::Record(sequence)) if is_trainer => {
                let head = moment.store.contains_key(&Key::Record(sequence + 1));
                found.filter(|_| !head)
            }
            _ => found,
        }
    }

    fn list_log(&self, moment: &mut Moment, actor: usize, after: u8, way: Way) -> Answer {
        let mut keys: Vec<(Key, u8)> = moment
            .store
            .iter()
            .filter(|(key, _)| matches!(key, Key::Record(sequence) if *sequence > after))
            .map(|(key, (_, hour))| (*key, *hour))
            .collect();
        if way == Way::Stale {
            missed(moment, actor);
            keys.pop();
        }
        if self.breach == Breach::NoSecondLook && self.retention == Some(actor) {
            keys.retain(|(_, hour)| *hour == 0);
        }
        Answer::Keys(keys)
    }

    fn delete(&self, moment: &mut Moment, key: Key) {
        moment.store.remove(&key);
        let Key::File(number, file) = key else {
            moment.broken = Some("records are never deleted");
            return;
        };
        match file {
            File::Manifest if self.grace_holds => {
                let records = moment.store.iter().filter(|(key, _)| key.is_record());
                let mut named =
                    records.flat_map(|(_, (value, _))| self.replay.table.said(*value).names());
                if named.any(|named| named == number) {
                    moment.broken = Some(DELETED);
                }
            }
            File::Model | File::Exam
                if moment
                    .store
                    .contains_key(&Key::File(number, File::Manifest)) =>
            {
                moment.broken = Some(TORN);
            }
            _ => {}
        }
    }

    fn hear(&self, moment: &mut Moment, actor: usize, event: Event) {
        let record = |sequence| moment.store.get(&Key::Record(sequence)).map(|it| it.0);
        let names = |sequence, checkpoint| {
            record(sequence).is_some_and(|it| self.replay.table.said(it).primary == checkpoint)
        };
        match event {
            Event::Begins => moment.actors[actor].promotes = Some(false),
            Event::Ends => moment.actors[actor].promotes = None,
            Event::Wrote { sequence, value } => {
                if record(sequence) != Some(value) {
                    moment.broken = Some(ONE_RECORD);
                }
            }
            Event::Promoted {
                sequence,
                checkpoint,
            } => {
                if !names(sequence, checkpoint) {
                    moment.broken = Some(ONE_RECORD);
                }
            }
            Event::Serves {
                sequence,
                checkpoint,
                right,
            } => {
                let there = moment
                    .store
                    .contains_key(&Key::File(checkpoint, File::Manifest));
                if !right || !names(sequence, checkpoint) || self.grace_holds && !there {
                    moment.broken = Some(SERVED);
                }
                moment.actors[actor].serves = Some((sequence, checkpoint));
            }
            Event::Unexpected(text) => moment.broken = Some(text),
            Event::Seen(sight) => {
                self.sights.lock().unwrap().insert(sight);
            }
        }
    }
}

/// A look missed something: what promotes on its strength is waited for.
fn missed(moment: &mut Moment, actor: usize) {
    moment.stale -= 1;
    let promotes = &mut moment.actors[actor].promotes;
    *promotes = promotes.map(|_| true);
}
