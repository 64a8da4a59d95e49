//! The world that the actors share: what lies on the storage and in the ledgers, and what may break.

use super::{
    promises,
    replay::{Node, Replay},
    values::ValueId,
    words::{File, Key, Number, Op, Sight, Stage, Until},
};
use stateright::{Model, Property};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

/// A step of the protocol that is left out, to see that the checker finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    None,
    /// Whoever wrote a record does not look for the tombstone again.
    BlindAfterWriting,
    /// A trainer does not see holds.
    PassesHolds,
    /// A trainer does not look for its own earlier promotion.
    ForgetsPromotions,
    /// The manifest is written before the files that it names.
    ManifestFirst,
    /// The storage lets a key be created twice.
    CreatesTwice,
    /// Retention does not read the serving log again before it deletes.
    NoSecondLook,
    /// A trainer writes its plan down only when it is carried out.
    PlansLate,
}

/// Who is there, and what may happen.
pub struct World {
    pub replay: Replay,
    /// What lies on the storage at the beginning.
    pub initial: BTreeMap<Key, ValueId>,
    /// Actors that may be killed, and begin a new life.
    pub mortal: Vec<usize>,
    /// Who reads, and who deletes, where there is one.
    pub reader: usize,
    /// Whether the reader looks before all is quiet as well.
    pub early: bool,
    pub retention: Option<usize>,
    /// Whether the grace time is longer than any promotion, as the rules of retention want it.
    pub grace_holds: bool,
    /// Writes with an ambiguous answer; kills; looks that miss something new.
    pub faults: u8,
    pub kills: u8,
    pub stale: u8,
    pub breach: Breach,
    /// What was seen; not part of the state.
    pub sights: Mutex<BTreeSet<Sight>>,
}

/// A moment of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    /// Keys, what they hold, and the hour in which it was written.
    pub store: BTreeMap<Key, (ValueId, u8)>,
    pub actors: Vec<Actor>,
    /// Writes of the dead that may still land.
    pub underway: BTreeSet<(Key, ValueId)>,
    pub hours: u8,
    pub faults: u8,
    pub kills: u8,
    pub stale: u8,
    pub broken: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    pub at: Node,
    pub life: u8,
    pub ledger: BTreeMap<Number, Stage>,
    /// While it promotes; `true` when retention has to wait for it.
    pub promotes: Option<bool>,
    /// Sequence and checkpoint.
    pub serves: Option<(u8, Number)>,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happens {
    /// An actor's operation is carried out.
    Step(usize, Way),
    /// An actor is killed, its write under way or not.
    Kill(usize, bool),
    /// The write of a dead actor lands.
    Lands(Key, ValueId),
}

/// How an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Well,
    /// A put lands, and a retry on the way meets it: "already exists".
    MeetsItself,
    /// A put does not land, and the answer is "already exists" all the same.
    Nothing,
    /// Something new is missed.
    Stale,
    Chosen(u8),
}

impl World {
    pub fn next(&self, moment: &Moment, actor: usize) -> Option<Op> {
        self.replay.next(moment.actors[actor].at)
    }

    /// Whether something may still be deleted or buried, seen by `actor`.
    fn deletes(&self, moment: &Moment, actor: usize) -> bool {
        self.retention
            .is_some_and(|other| other != actor && self.next(moment, other).is_some())
    }

    /// Whether a look at `key` may miss what is there: an NFS client may go on hiding a name that it once missed.
    fn hides(&self, moment: &Moment, actor: usize, key: Key) -> bool {
        let written = moment.store.get(&key).map(|(_, hour)| *hour);
        moment.stale > 0
            && written == Some(moment.hours)
            && !self.is_quiet(moment, actor)
            && self.replay.missed(moment.actors[actor].at, key)
    }

    /// Whether `actor` alone has something left to do.
    fn is_quiet(&self, moment: &Moment, actor: usize) -> bool {
        let mut others = (0..moment.actors.len()).filter(|other| *other != actor);
        moment.underway.is_empty() && others.all(|other| self.next(moment, other).is_none())
    }

    fn may_go_on(&self, moment: &Moment, actor: usize, until: Until) -> bool {
        match until {
            Until::Quiet => self.is_quiet(moment, actor),
            Until::Grace if self.grace_holds => {
                moment.underway.is_empty()
                    && moment
                        .actors
                        .iter()
                        .all(|actor| actor.promotes != Some(true))
            }
            Until::Grace => true,
        }
    }

    /// Whether an operation that no other actor can notice, and whose answer no other actor can change, is next:
    /// then when it happens makes no difference, and it happens at once.
    fn is_private(&self, moment: &Moment, actor: usize, op: Op) -> bool {
        match op {
            Op::Tell(_) | Op::ReadLedger => true,
            Op::Write(..) => moment.kills == 0 || !self.mortal.contains(&actor),
            Op::Put(Key::File(_, File::Model | File::Exam), _) => {
                moment.kills == 0 && moment.faults == 0 && !self.deletes(moment, actor)
            }
            Op::Get(key) | Op::Head(key) => {
                let there = moment.store.contains_key(&key);
                let stays = key.is_record() || !self.deletes(moment, actor);
                let stays_away =
                    matches!(key, Key::File(_, File::Tombstone)) && !self.deletes(moment, actor);
                (there && stays && !self.hides(moment, actor, key)) || (!there && stays_away)
            }
            _ => false,
        }
    }

    /// Lets everything private happen.
    fn settle(&self, moment: &mut Moment) {
        loop {
            let private = (0..moment.actors.len()).find(|&actor| {
                let next = self.next(moment, actor);
                next.is_some_and(|op| self.is_private(moment, actor, op))
            });
            match private {
                Some(actor) if moment.broken.is_none() => self.step(moment, actor, Way::Well),
                _ => return,
            }
        }
    }

    fn step(&self, moment: &mut Moment, actor: usize, way: Way) {
        let op = self.next(moment, actor).expect("it has something to do");
        let answer = self.carry_out(moment, actor, op, way);
        let at = &mut moment.actors[actor].at;
        *at = self.replay.after(*at, answer);
    }

    fn kill(&self, moment: &mut Moment, actor: usize, under_way: bool) {
        if let (true, Some(Op::Put(key, value))) = (under_way, self.next(moment, actor)) {
            moment.underway.insert((key, value));
        }
        moment.kills -= 1;
        let dead = &mut moment.actors[actor];
        dead.life += 1;
        dead.at = self.replay.begin(actor, dead.life);
        dead.promotes = None;
        dead.serves = None;
    }
}

impl Model for World {
    type State = Moment;
    type Action = Happens;

    fn init_states(&self) -> Vec<Moment> {
        let actors = (0..self.replay.actors()).map(|actor| Actor {
            at: self.replay.begin(actor, 0),
            life: 0,
            ledger: BTreeMap::new(),
            promotes: None,
            serves: None,
        });
        let initial = self.initial.iter();
        let mut moment = Moment {
            store: initial.map(|(key, value)| (*key, (*value, 0))).collect(),
            actors: actors.collect(),
            underway: BTreeSet::new(),
            hours: 1,
            faults: self.faults,
            kills: self.kills,
            stale: self.stale,
            broken: None,
        };
        self.settle(&mut moment);
        vec![moment]
    }

    fn actions(&self, moment: &Moment, happens: &mut Vec<Happens>) {
        if moment.broken.is_some() {
            return;
        }
        happens.extend(
            moment
                .underway
                .iter()
                .map(|(key, value)| Happens::Lands(*key, *value)),
        );
        for actor in 0..moment.actors.len() {
            let Some(op) = self.next(moment, actor) else {
                continue;
            };
            let mut can = |way| happens.push(Happens::Step(actor, way));
            match op {
                Op::Choose(ways) => (0..ways).for_each(|way| can(Way::Chosen(way))),
                Op::Wait(until) if !self.may_go_on(moment, actor, until) => {}
                _ => can(Way::Well),
            }
            match op {
                Op::Put(key, _) if moment.faults > 0 && !moment.store.contains_key(&key) => {
                    can(Way::MeetsItself);
                    can(Way::Nothing);
                }
                Op::Get(key) | Op::Head(key) if self.hides(moment, actor, key) => can(Way::Stale),
                Op::ListLog(after) if moment.stale > 0 && !self.is_quiet(moment, actor) => {
                    let newest = moment.store.iter().next_back();
                    let missable = newest.is_some_and(|(key, (_, hour))| {
                        matches!(key, Key::Record(sequence) if *sequence > after)
                            && *hour == moment.hours
                    });
                    if missable {
                        can(Way::Stale);
                    }
                }
                _ => {}
            }
            if moment.kills > 0 && self.mortal.contains(&actor) {
                happens.push(Happens::Kill(actor, false));
                if matches!(op, Op::Put(..)) {
                    happens.push(Happens::Kill(actor, true));
                }
            }
        }
    }

    fn next_state(&self, before: &Moment, happens: Happens) -> Option<Moment> {
        let mut moment = before.clone();
        match happens {
            Happens::Step(actor, way) => self.step(&mut moment, actor, way),
            Happens::Kill(actor, under_way) => self.kill(&mut moment, actor, under_way),
            Happens::Lands(key, value) => {
                moment.underway.remove(&(key, value));
                self.land(&mut moment, key, value);
            }
        }
        self.settle(&mut moment);
        Some(moment)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::all()
    }
}
