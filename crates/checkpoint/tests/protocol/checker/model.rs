//! The model: its configuration, its state and the actions that change it.

use super::{
    replay::{Node, Replay},
    types::{Coverage, Key, Number, Stage, ValueId},
};
use digits_checkpoint::serving::Scope;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

/// A step of the protocol that is left out, to show that a property catches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None,
    /// The writer of a record does not check for the tombstone again.
    SkipCheckAfterWrite,
    /// A trainer ignores holds.
    IgnoreHold,
    /// A trainer does not search for its own earlier promotion.
    ForgetPromotions,
    /// The manifest is written before the files that it names.
    ManifestFirst,
    /// The storage lets a key be created twice.
    CreateTwice,
    /// Retention does not read the serving log again before it deletes.
    SkipSecondRead,
    /// A trainer records its intent only after carrying it out.
    PlanLate,
    /// A trainer does not compare its checkpoint with the primary.
    SkipComparison,
}

/// The actors, the initial state and the faults that may occur.
pub struct ProtocolModel {
    pub replay: Replay,
    /// The initial storage.
    pub initial: BTreeMap<Key, ValueId>,
    /// Actors that may crash and restart.
    pub can_crash: Vec<usize>,
    /// Index of the reader.
    pub reader: usize,
    /// Whether the reader also polls before all other actors have finished.
    pub polls_early: bool,
    /// Index of retention, if it takes part.
    pub retention: Option<usize>,
    /// Whether the grace time is longer than any promotion, as retention requires.
    pub grace_holds: bool,
    /// What the trainers' checkpoints may replace.
    pub scope: Scope,
    /// How many ambiguous answers, crashes and stale reads may occur.
    pub faults: u8,
    pub crashes: u8,
    pub stale: u8,
    pub mutation: Mutation,
    /// What was reached; not part of the state.
    pub coverage: Mutex<BTreeSet<Coverage>>,
}

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelState {
    /// Keys with their value and the hour in which it was written.
    pub store: BTreeMap<Key, (ValueId, u8)>,
    pub actors: Vec<Actor>,
    /// Writes of crashed actors that may still take effect.
    pub pending_writes: BTreeSet<(Key, ValueId)>,
    pub hours: u8,
    pub faults: u8,
    pub crashes: u8,
    pub stale: u8,
    pub violation: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    pub at: Node,
    pub life: u8,
    pub intents: BTreeMap<Number, Stage>,
    /// `Some` during a promotion; `true` when the grace time must cover it.
    pub promoting: Option<bool>,
    /// Sequence and checkpoint that a reader serves.
    pub serving: Option<(u8, Number)>,
}

/// A transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An actor's next operation takes place.
    Step(usize, Effect),
    /// An actor crashes, with its write pending or not.
    Crash(usize, bool),
    /// The pending write of a crashed actor takes effect.
    LateWrite(Key, ValueId),
}

/// How an operation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Success,
    /// A put succeeds, and the client's retry meets it: "already exists".
    RetryMeetsItself,
    /// A put fails, but the answer is still "already exists".
    FalselyExists,
    /// A read or listing misses what is newest.
    Stale,
    Chosen(u8),
}
