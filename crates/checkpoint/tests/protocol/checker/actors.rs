//! The actors of a model, which may crash, and the writes that crashed ones leave pending.

use super::{
    replay::{Node, Replay},
    types::{Answer, Key, Op, ValueId},
};
use std::collections::BTreeSet;

/// The state of all actors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actors {
    /// Each one's program state, and the number of its crashes.
    all: Vec<(Node, u8)>,
    /// Writes of crashed actors that may still take effect.
    pub pending_writes: BTreeSet<(Key, ValueId)>,
    /// Crashes that may still occur.
    crashes: u8,
}

/// A crash of an actor, with its write pending or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    actor: usize,
    write_pending: bool,
}

impl Actors {
    /// All at the beginning of their programs.
    pub fn begin(replay: &Replay, crashes: u8) -> Self {
        let all = (0..replay.actors()).map(|actor| (replay.begin(actor, 0), 0));
        Self {
            all: all.collect(),
            pending_writes: BTreeSet::new(),
            crashes,
        }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn at(&self, actor: usize) -> Node {
        self.all[actor].0
    }

    pub fn next(&self, replay: &Replay, actor: usize) -> Option<Op> {
        replay.next(self.at(actor))
    }

    pub fn answer(&mut self, replay: &Replay, actor: usize, answer: Answer) {
        let at = &mut self.all[actor].0;
        *at = replay.after(*at, answer);
    }

    /// Whether an actor that can crash may do so now.
    pub fn may_crash(&self, actor: usize, can_crash: &[usize]) -> bool {
        self.crashes > 0 && can_crash.contains(&actor)
    }

    /// The crashes of an actor that may happen now, before its operation.
    pub fn crashes(&self, actor: usize, op: Op, can_crash: &[usize]) -> Vec<Crash> {
        let crash = |write_pending| Crash {
            actor,
            write_pending,
        };
        match op {
            _ if !self.may_crash(actor, can_crash) => Vec::new(),
            Op::Put(..) => vec![crash(false), crash(true)],
            _ => vec![crash(false)],
        }
    }

    /// Has an actor crash, and begin again.
    pub fn crash(&mut self, replay: &Replay, crash: Crash) {
        let Crash {
            actor,
            write_pending,
        } = crash;
        if let (true, Some(Op::Put(key, value))) = (write_pending, self.next(replay, actor)) {
            self.pending_writes.insert((key, value));
        }
        self.crashes -= 1;
        let life = self.all[actor].1 + 1;
        self.all[actor] = (replay.begin(actor, life), life);
    }
}
