//! The model of a journal: a storage and the actors.

use crate::checker::{
    actors::{Actors, Crash},
    replay::Replay,
    types::{Answer, Coverage, Event, JournalFolder, JournalKey, Key, Op, ValueId, WaitFor},
};
use stateright::{Model, Property};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

pub const KEPT: &str =
    "every change that was answered to be stored is found by each later takeover";
pub const ORDER: &str = "each takeover finds what the one before found, in the same order";
pub const EXPECTED: &str = "no program gets an unexpected error";

/// What the storage does wrong on purpose, to show that a property depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// A seal is answered to be there and is not.
    SkipSeals,
    /// The seals of cleared epochs are deleted too.
    DeleteSeals,
    /// The records of cleared epochs are deleted too.
    DeleteEpochs,
    /// A key may be created twice.
    CreateTwice,
}

pub struct JournalModel {
    pub replay: Replay,
    /// Actors that may crash.
    pub can_crash: Vec<usize>,
    pub crashes: u8,
    /// Listings that may miss the newest keys.
    pub stale: u8,
    pub flaw: Flaw,
    /// What was reached; not part of the state.
    pub coverage: Mutex<BTreeSet<Coverage>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JournalState {
    store: BTreeMap<Key, ValueId>,
    actors: Actors,
    stale: u8,
    /// Changes that were answered to be stored, with their epochs.
    stored: BTreeSet<(u8, u8)>,
    /// What was found at the opening of each epoch.
    opened: BTreeMap<u8, ValueId>,
    violation: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalAction {
    /// An actor's next operation takes place; a listing may miss what is new.
    Step {
        actor: usize,
        stale: bool,
    },
    Crash(Crash),
    /// The pending write of a crashed actor takes effect.
    LateWrite(Key, ValueId),
}

impl JournalModel {
    fn next(&self, state: &JournalState, actor: usize) -> Option<Op> {
        state.actors.next(&self.replay, actor)
    }

    fn is_seal(&self, value: ValueId) -> bool {
        let bytes = self.replay.table.bytes(value);
        let text = String::from_utf8_lossy(&bytes);
        text.contains("\"kind\":\"seal\"")
    }

    fn create(&self, state: &mut JournalState, key: Key, value: ValueId) -> Answer {
        if self.flaw == Flaw::SkipSeals && self.is_seal(value) {
            return Answer::Created;
        }
        if state.store.contains_key(&key) && self.flaw != Flaw::CreateTwice {
            return Answer::Exists;
        }
        state.store.insert(key, value);
        Answer::Created
    }

    fn delete(&self, state: &mut JournalState, key: Key) {
        state.store.remove(&key);
        let Key::Journal(JournalKey::Entry(epoch, _)) = key else {
            return;
        };
        let sealed = |key: &Key, value| {
            matches!(key, Key::Journal(JournalKey::Entry(of, _)) if *of == epoch)
                && self.is_seal(value)
        };
        match self.flaw {
            Flaw::DeleteSeals => state.store.retain(|key, value| !sealed(key, *value)),
            Flaw::DeleteEpochs => {
                state.store.remove(&Key::Journal(JournalKey::Epoch(epoch)));
            }
            _ => {}
        }
    }

    fn list(state: &mut JournalState, folder: JournalFolder, stale: bool) -> Answer {
        let mut keys: Vec<Key> = state.store.keys().copied().collect();
        keys.retain(|key| {
            matches!(
                (key, folder),
                (Key::Journal(JournalKey::Epoch(_)), JournalFolder::Epochs)
                    | (Key::Journal(JournalKey::Entry(..)), JournalFolder::Entries)
                    | (
                        Key::Journal(JournalKey::Snapshot(..)),
                        JournalFolder::Snapshots
                    )
            )
        });
        if stale {
            state.stale -= 1;
            keys.pop();
        }
        Answer::Keys(keys.into_iter().map(|key| (key, 0)).collect())
    }

    fn opened(&self, state: &mut JournalState, epoch: u8, changes: ValueId) {
        let bytes = |value| self.replay.table.bytes(value);
        let found = bytes(changes);
        let is_missing = |(of, change): &(u8, u8)| *of < epoch && !found.contains(change);
        if state.stored.iter().any(is_missing) {
            state.violation = Some(KEPT);
        }
        let before = state.opened.range(..epoch).next_back();
        if before.is_some_and(|(_, before)| !found.starts_with(&bytes(*before))) {
            state.violation = Some(ORDER);
        }
        let after = state.opened.range(epoch + 1..).next();
        if after.is_some_and(|(_, after)| !bytes(*after).starts_with(&found)) {
            state.violation = Some(ORDER);
        }
        state.opened.insert(epoch, changes);
    }

    fn stored(&self, state: &mut JournalState, epoch: u8, change: u8) {
        let mut later = state.opened.range(epoch + 1..);
        if later.any(|(_, found)| !self.replay.table.bytes(*found).contains(&change)) {
            state.violation = Some(KEPT);
        }
        state.stored.insert((epoch, change));
    }

    fn carry_out(&self, state: &mut JournalState, op: Op, stale: bool) -> Answer {
        match op {
            Op::Put(key, value) => self.create(state, key, value),
            Op::Get(key) => Answer::Found(state.store.get(&key).copied()),
            Op::ListJournal(folder) => Self::list(state, folder, stale),
            Op::Delete(key) => {
                self.delete(state, key);
                Answer::Done
            }
            Op::Wait(_) => Answer::Time(0),
            Op::Emit(event) => {
                match event {
                    Event::Opened { epoch, changes } => self.opened(state, epoch, changes),
                    Event::Stored { epoch, change } => self.stored(state, epoch, change),
                    Event::Reached(reached) => {
                        self.coverage.lock().unwrap().insert(reached);
                    }
                    Event::Unexpected(text) => {
                        println!("unexpected: {text}");
                        state.violation = Some(EXPECTED);
                    }
                    other => panic!("{other:?} is not part of this model"),
                }
                Answer::Done
            }
            other => panic!("{other:?} is not part of this model"),
        }
    }

    fn step(&self, state: &mut JournalState, actor: usize, stale: bool) {
        let op = self.next(state, actor).expect("a next operation");
        let answer = self.carry_out(state, op, stale);
        state.actors.answer(&self.replay, actor, answer);
    }

    /// Events take place together with the operation before them.
    fn run_events(&self, state: &mut JournalState) {
        for actor in 0..state.actors.len() {
            while state.violation.is_none() && matches!(self.next(state, actor), Some(Op::Emit(_)))
            {
                self.step(state, actor, false);
            }
        }
    }

    fn is_quiet(&self, state: &JournalState) -> bool {
        let waits = |op| op == Some(Op::Wait(WaitFor::Quiet));
        let over = |actor| self.next(state, actor).is_none() || waits(self.next(state, actor));
        state.actors.pending_writes.is_empty() && (0..state.actors.len()).all(over)
    }
}

impl Model for JournalModel {
    type State = JournalState;
    type Action = JournalAction;

    fn init_states(&self) -> Vec<JournalState> {
        vec![JournalState {
            store: BTreeMap::new(),
            actors: Actors::begin(&self.replay, self.crashes),
            stale: self.stale,
            stored: BTreeSet::new(),
            opened: BTreeMap::new(),
            violation: None,
        }]
    }

    fn actions(&self, state: &JournalState, actions: &mut Vec<JournalAction>) {
        if state.violation.is_some() {
            return;
        }
        let late = state.actors.pending_writes.iter();
        actions.extend(late.map(|(key, value)| JournalAction::LateWrite(*key, *value)));
        for actor in 0..state.actors.len() {
            let step = |stale| JournalAction::Step { actor, stale };
            let Some(op) = self.next(state, actor) else {
                continue;
            };
            if matches!(op, Op::Wait(WaitFor::Quiet)) && !self.is_quiet(state) {
                continue;
            }
            actions.push(step(false));
            if matches!(op, Op::ListJournal(_)) && state.stale > 0 {
                actions.push(step(true));
            }
            let crashes = state.actors.crashes(actor, op, &self.can_crash);
            actions.extend(crashes.into_iter().map(JournalAction::Crash));
        }
    }

    fn next_state(&self, before: &JournalState, action: JournalAction) -> Option<JournalState> {
        let mut state = before.clone();
        match action {
            JournalAction::Step { actor, stale } => self.step(&mut state, actor, stale),
            JournalAction::Crash(crash) => state.actors.crash(&self.replay, crash),
            JournalAction::LateWrite(key, value) => {
                state.actors.pending_writes.remove(&(key, value));
                self.create(&mut state, key, value);
            }
        }
        self.run_events(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! never {
            ($name:ident) => {
                Property::<JournalModel>::always($name, |_, state| state.violation != Some($name))
            };
        }
        vec![
            never!(KEPT),
            never!(ORDER),
            never!(EXPECTED),
            Property::sometimes("two changes are stored", |_, state: &JournalState| {
                state.stored.len() >= 2
            }),
        ]
    }
}
