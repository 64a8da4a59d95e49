//! The transitions of the model: which actions a state allows, and the state after each.

use super::{
    model::{Action, Actor, Effect, ModelState, ProtocolModel},
    properties,
    types::{File, Key, Op, WaitFor},
};
use stateright::{Model, Property};
use std::collections::{BTreeMap, BTreeSet};

impl ProtocolModel {
    pub fn next(&self, state: &ModelState, actor: usize) -> Option<Op> {
        self.replay.next(state.actors[actor].at)
    }

    /// Whether another actor than `actor` may still delete something or write a tombstone.
    fn deletes(&self, state: &ModelState, actor: usize) -> bool {
        self.retention
            .is_some_and(|other| other != actor && self.next(state, other).is_some())
    }

    /// Whether a read of `key` may be stale: an NFS client may cache the absence of a name.
    fn may_miss(&self, state: &ModelState, actor: usize, key: Key) -> bool {
        let written = state.store.get(&key).map(|(_, hour)| *hour);
        state.stale > 0
            && written == Some(state.hours)
            && !self.is_quiet(state, actor)
            && self.replay.missed(state.actors[actor].at, key)
    }

    /// Whether all other actors have finished.
    fn is_quiet(&self, state: &ModelState, actor: usize) -> bool {
        let mut others = (0..state.actors.len()).filter(|other| *other != actor);
        state.pending_writes.is_empty() && others.all(|other| self.next(state, other).is_none())
    }

    fn wait_is_over(&self, state: &ModelState, actor: usize, wait: WaitFor) -> bool {
        match wait {
            WaitFor::Quiet => self.is_quiet(state, actor),
            WaitFor::Grace if self.grace_holds => {
                state.pending_writes.is_empty()
                    && state
                        .actors
                        .iter()
                        .all(|actor| actor.promoting != Some(true))
            }
            WaitFor::Grace => true,
            WaitFor::There(_) | WaitFor::ThereOrNever(_) => panic!("not part of this model"),
        }
    }

    /// Partial-order reduction: whether no other actor can observe `op` or change its answer. Then
    /// its position in the interleaving makes no difference, and it runs at once.
    fn is_independent(&self, state: &ModelState, actor: usize, op: Op) -> bool {
        match op {
            Op::Emit(_) | Op::ReadIntents => true,
            Op::Write(..) => state.crashes == 0 || !self.can_crash.contains(&actor),
            Op::Put(Key::File(_, File::Model | File::Exam), _) => {
                state.crashes == 0 && state.faults == 0 && !self.deletes(state, actor)
            }
            Op::Get(key) | Op::Head(key) => {
                let there = state.store.contains_key(&key);
                let stays = key.is_record() || !self.deletes(state, actor);
                let stays_away =
                    matches!(key, Key::File(_, File::Tombstone)) && !self.deletes(state, actor);
                (there && stays && !self.may_miss(state, actor, key)) || (!there && stays_away)
            }
            _ => false,
        }
    }

    /// Runs all independent operations.
    fn run_independent_steps(&self, state: &mut ModelState) {
        loop {
            let independent = (0..state.actors.len()).find(|&actor| {
                let next = self.next(state, actor);
                next.is_some_and(|op| self.is_independent(state, actor, op))
            });
            match independent {
                Some(actor) if state.violation.is_none() => {
                    self.step(state, actor, Effect::Success)
                }
                _ => return,
            }
        }
    }

    fn step(&self, state: &mut ModelState, actor: usize, effect: Effect) {
        let op = self
            .next(state, actor)
            .expect("the actor has a next operation");
        let answer = self.carry_out(state, actor, op, effect);
        let at = &mut state.actors[actor].at;
        *at = self.replay.after(*at, answer);
    }

    fn crash(&self, state: &mut ModelState, actor: usize, write_pending: bool) {
        if let (true, Some(Op::Put(key, value))) = (write_pending, self.next(state, actor)) {
            state.pending_writes.insert((key, value));
        }
        state.crashes -= 1;
        let crashed = &mut state.actors[actor];
        crashed.life += 1;
        crashed.at = self.replay.begin(actor, crashed.life);
        crashed.promoting = None;
        crashed.serving = None;
    }
}

impl Model for ProtocolModel {
    type State = ModelState;
    type Action = Action;

    fn init_states(&self) -> Vec<ModelState> {
        let actors = (0..self.replay.actors()).map(|actor| Actor {
            at: self.replay.begin(actor, 0),
            life: 0,
            intents: BTreeMap::new(),
            promoting: None,
            serving: None,
        });
        let initial = self.initial.iter();
        let mut state = ModelState {
            store: initial.map(|(key, value)| (*key, (*value, 0))).collect(),
            actors: actors.collect(),
            pending_writes: BTreeSet::new(),
            hours: 1,
            faults: self.faults,
            crashes: self.crashes,
            stale: self.stale,
            violation: None,
        };
        self.run_independent_steps(&mut state);
        vec![state]
    }

    fn actions(&self, state: &ModelState, actions: &mut Vec<Action>) {
        if state.violation.is_some() {
            return;
        }
        actions.extend(
            state
                .pending_writes
                .iter()
                .map(|(key, value)| Action::LateWrite(*key, *value)),
        );
        for actor in 0..state.actors.len() {
            let Some(op) = self.next(state, actor) else {
                continue;
            };
            let mut push = |effect| actions.push(Action::Step(actor, effect));
            match op {
                Op::Choose(options) => (0..options).for_each(|effect| push(Effect::Chosen(effect))),
                Op::Wait(wait) if !self.wait_is_over(state, actor, wait) => {}
                _ => push(Effect::Success),
            }
            match op {
                Op::Put(key, _) if state.faults > 0 && !state.store.contains_key(&key) => {
                    push(Effect::RetryMeetsItself);
                    push(Effect::FalselyExists);
                }
                Op::Get(key) | Op::Head(key) if self.may_miss(state, actor, key) => {
                    push(Effect::Stale)
                }
                Op::ListLog(after) if state.stale > 0 && !self.is_quiet(state, actor) => {
                    let newest = state.store.iter().next_back();
                    let missable = newest.is_some_and(|(key, (_, hour))| {
                        matches!(key, Key::Record(sequence) if *sequence > after)
                            && *hour == state.hours
                    });
                    if missable {
                        push(Effect::Stale);
                    }
                }
                _ => {}
            }
            if state.crashes > 0 && self.can_crash.contains(&actor) {
                actions.push(Action::Crash(actor, false));
                if matches!(op, Op::Put(..)) {
                    actions.push(Action::Crash(actor, true));
                }
            }
        }
    }

    fn next_state(&self, before: &ModelState, actions: Action) -> Option<ModelState> {
        let mut state = before.clone();
        match actions {
            Action::Step(actor, effect) => self.step(&mut state, actor, effect),
            Action::Crash(actor, write_pending) => self.crash(&mut state, actor, write_pending),
            Action::LateWrite(key, value) => {
                state.pending_writes.remove(&(key, value));
                self.land(&mut state, key, value);
            }
        }
        self.run_independent_steps(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
