//! The model of attempts: a storage, the trainer's database, and the actors.

use super::programs::{STEPS, nonce};
use crate::checker::{
    actors::{Actors, Crash},
    replay::Replay,
    types::{
        Answer, Coverage, Database, Event, Key, Op, Reported, RunKey, Transaction, ValueId, WaitFor,
    },
};
use stateright::{Model, Property};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

pub const ROWS: &str = "every row is recorded once, in order";
pub const EXPECTED: &str = "no program gets an unexpected error";
pub const ONE_WRITER: &str = "all reports of an attempt come from one worker";
pub const ENDED: &str = "finally the job is over, once, with all its rows";

/// The trainer's index; workers follow.
const TRAINER: usize = 0;

pub struct RunModel {
    pub replay: Replay,
    /// The attempt of each worker.
    pub workers: Vec<u8>,
    /// Actors that may crash.
    pub can_crash: Vec<usize>,
    pub crashes: u8,
    pub stale: u8,
    /// What was reached; not part of the state.
    pub coverage: Mutex<BTreeSet<Coverage>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunState {
    store: BTreeMap<Key, ValueId>,
    database: Database,
    actors: Actors,
    stale: u8,
    violation: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAction {
    /// An actor's next operation takes place; a read may miss what is new.
    Step {
        actor: usize,
        stale: bool,
    },
    Choose {
        actor: usize,
        option: u8,
    },
    Crash(Crash),
    /// The pending write of a crashed actor takes effect.
    LateWrite(Key, ValueId),
}

impl RunModel {
    fn next(&self, state: &RunState, actor: usize) -> Option<Op> {
        state.actors.next(&self.replay, actor)
    }

    fn is_there(state: &RunState, key: RunKey) -> bool {
        state.store.contains_key(&Key::Run(key))
    }

    /// Whether a worker of `attempt` may still write, now or after a late write of its record.
    fn may_write(&self, state: &RunState, attempt: u8) -> bool {
        let of_attempt = |key: &Key| match key {
            Key::Run(RunKey::Record(of) | RunKey::Report(of, _) | RunKey::Bundle(of, _)) => {
                *of == attempt
            }
            _ => false,
        };
        let pending = state
            .actors
            .pending_writes
            .iter()
            .any(|(key, _)| of_attempt(key));
        let mut workers = (1..).zip(&self.workers);
        pending
            || workers.any(|(actor, of)| {
                let started = |op| {
                    op != Op::Wait(WaitFor::There(RunKey::Record(attempt)))
                        || Self::is_there(state, RunKey::Record(attempt))
                };
                *of == attempt && self.next(state, actor).is_some_and(started)
            })
    }

    fn wait_is_over(&self, state: &RunState, wait: WaitFor) -> bool {
        match wait {
            WaitFor::There(key) => Self::is_there(state, key),
            WaitFor::ThereOrNever(key) => {
                let RunKey::Report(attempt, _) = key else {
                    panic!("the trainer waits for reports alone")
                };
                Self::is_there(state, key) || !self.may_write(state, attempt)
            }
            other => panic!("{other:?} is not part of this model"),
        }
    }

    /// A read may be stale if the same program has read the absence of the key before.
    fn may_miss(&self, state: &RunState, actor: usize, op: Op) -> bool {
        let Op::Get(key) = op else { return false };
        state.stale > 0
            && state.store.contains_key(&key)
            && self.replay.missed(state.actors.at(actor), key)
    }

    fn land(&self, state: &mut RunState, key: Key, value: ValueId) -> bool {
        if state.store.contains_key(&key) {
            return false;
        }
        if let Key::Run(RunKey::Report(attempt, number)) = key
            && number > 1
        {
            let before = state.store[&Key::Run(RunKey::Report(attempt, number - 1))];
            let writer = |value| nonce(&self.replay.table.bytes(value));
            if writer(before) != writer(value) {
                state.violation = Some(ONE_WRITER);
            }
        }
        state.store.insert(key, value);
        true
    }

    fn transact(database: &mut Database, transaction: Transaction) -> Option<&'static str> {
        database.refused = false;
        match transaction {
            Transaction::Read => {}
            Transaction::Begin => {
                database.attempt += 1;
                database.followed = 0;
                database.open = true;
            }
            Transaction::TakeIn(attempt, number, reported) => {
                let current = database.open && attempt == database.attempt;
                if !current || number != database.followed + 1 {
                    database.refused = true;
                    return None;
                }
                database.followed = number;
                match reported {
                    Reported::Row(step) => {
                        let newest = database.rows.last().copied().unwrap_or(0);
                        if step > newest + 1 {
                            return Some(ROWS);
                        }
                        if step > newest {
                            database.rows.push(step);
                        }
                    }
                    Reported::Bundle(number, step) => {
                        database.bundle = Some((attempt, number, step));
                    }
                    Reported::Opened | Reported::Ended => {}
                }
            }
            Transaction::Close(attempt) => {
                if database.attempt == attempt {
                    database.open = false;
                }
            }
            Transaction::Finish => {
                database.open = false;
                database.finished += 1;
            }
        }
        None
    }

    fn carry_out(&self, state: &mut RunState, op: Op, stale: bool) -> Answer {
        match op {
            Op::Put(key, value) => match self.land(state, key, value) {
                true => Answer::Created,
                false => Answer::Exists,
            },
            Op::Get(_) if stale => {
                state.stale -= 1;
                Answer::Found(None)
            }
            Op::Get(key) => Answer::Found(state.store.get(&key).copied()),
            Op::Transact(transaction) => {
                let violation = Self::transact(&mut state.database, transaction);
                state.violation = state.violation.or(violation);
                Answer::Database(state.database.clone())
            }
            Op::Wait(WaitFor::ThereOrNever(key)) => Answer::Time(Self::is_there(state, key).into()),
            Op::Wait(_) => Answer::Time(0),
            Op::Emit(Event::Unexpected(text)) => {
                // Any text: the property names them all.
                let _ = text;
                state.violation = Some(EXPECTED);
                Answer::Done
            }
            Op::Emit(Event::Reached(reached)) => {
                self.coverage.lock().unwrap().insert(reached);
                Answer::Done
            }
            other => panic!("{other:?} is not part of this model"),
        }
    }

    fn step(&self, state: &mut RunState, actor: usize, stale: bool) {
        let op = self.next(state, actor).expect("a next operation");
        let answer = self.carry_out(state, op, stale);
        state.actors.answer(&self.replay, actor, answer);
    }

    /// Partial-order reduction: whether no other actor can observe `op` or change its answer, so
    /// that it runs at once.
    fn is_independent(&self, state: &RunState, actor: usize, op: Op) -> bool {
        let may_crash = state.actors.may_crash(actor, &self.can_crash);
        match op {
            Op::Emit(_) | Op::Transact(Transaction::Read) => true,
            // What is there stays.
            Op::Get(key) => state.store.contains_key(&key) && !self.may_miss(state, actor, op),
            Op::Wait(wait) => actor != TRAINER && self.wait_is_over(state, wait),
            Op::Put(Key::Run(RunKey::Record(_) | RunKey::Bundle(..)), _) | Op::Transact(_) => {
                !may_crash
            }
            _ => false,
        }
    }

    fn run_independent_steps(&self, state: &mut RunState) {
        while state.violation.is_none() {
            let independent = (0..state.actors.len()).find(|&actor| {
                let next = self.next(state, actor);
                next.is_some_and(|op| self.is_independent(state, actor, op))
            });
            match independent {
                Some(actor) => self.step(state, actor, false),
                None => return,
            }
        }
    }

    fn is_terminal(&self, state: &RunState) -> bool {
        let is_over = |actor| match self.next(state, actor) {
            None => true,
            // A worker that is never started.
            Some(Op::Wait(wait)) => actor != TRAINER && !self.wait_is_over(state, wait),
            Some(_) => false,
        };
        state.actors.pending_writes.is_empty() && (0..state.actors.len()).all(is_over)
    }
}

impl Model for RunModel {
    type State = RunState;
    type Action = RunAction;

    fn init_states(&self) -> Vec<RunState> {
        let mut state = RunState {
            store: BTreeMap::new(),
            database: Database::default(),
            actors: Actors::begin(&self.replay, self.crashes),
            stale: self.stale,
            violation: None,
        };
        self.run_independent_steps(&mut state);
        vec![state]
    }

    fn actions(&self, state: &RunState, actions: &mut Vec<RunAction>) {
        if state.violation.is_some() {
            return;
        }
        let late = state.actors.pending_writes.iter();
        actions.extend(late.map(|(key, value)| RunAction::LateWrite(*key, *value)));
        for actor in 0..state.actors.len() {
            let Some(op) = self.next(state, actor) else {
                continue;
            };
            let step = |stale| RunAction::Step { actor, stale };
            match op {
                Op::Choose(options) => {
                    actions.extend((0..options).map(|option| RunAction::Choose { actor, option }));
                }
                Op::Wait(wait) if !self.wait_is_over(state, wait) => {}
                _ => actions.push(step(false)),
            }
            if self.may_miss(state, actor, op) {
                actions.push(step(true));
            }
            let crashes = state.actors.crashes(actor, op, &self.can_crash);
            actions.extend(crashes.into_iter().map(RunAction::Crash));
        }
    }

    fn next_state(&self, before: &RunState, action: RunAction) -> Option<RunState> {
        let mut state = before.clone();
        match action {
            RunAction::Step { actor, stale } => self.step(&mut state, actor, stale),
            RunAction::Choose { actor, option } => {
                let chosen = Answer::Chosen(option);
                state.actors.answer(&self.replay, actor, chosen);
            }
            RunAction::Crash(crash) => state.actors.crash(&self.replay, crash),
            RunAction::LateWrite(key, value) => {
                state.actors.pending_writes.remove(&(key, value));
                self.land(&mut state, key, value);
            }
        }
        self.run_independent_steps(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! never {
            ($name:ident) => {
                Property::<RunModel>::always($name, |_, state| state.violation != Some($name))
            };
        }
        vec![
            never!(ROWS),
            never!(EXPECTED),
            never!(ONE_WRITER),
            Property::always(ENDED, |model: &RunModel, state: &RunState| {
                let all: Vec<u8> = (1..=STEPS).collect();
                let is_over = state.database.finished == 1 && state.database.rows == all;
                let stuck = {
                    let mut actions = Vec::new();
                    model.actions(state, &mut actions);
                    actions.is_empty() && state.violation.is_none()
                };
                is_over || !(stuck || model.is_terminal(state))
            }),
            Property::sometimes("a job is over", |_, state: &RunState| {
                state.database.finished == 1
            }),
        ]
    }
}
