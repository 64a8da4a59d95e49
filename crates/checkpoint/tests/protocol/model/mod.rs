//! The protocol explored by a model checker: every order in which a few actors' operations on one storage can fall,
//! with kills, writes that land after their writer's death, ambiguous answers and looks that miss what is new.
//!
//! Nothing is modelled but the storage and the ledgers: the actors are the functions of the crate themselves,
//! stopped at each operation ([`sim`]) and continued with each possible answer ([`replay`]). [`world`] says what may
//! happen, [`promises`] what must hold. What is left out: bytes that rot (see `refusals`), and clocks that differ.

mod deeds;
mod programs;
mod promises;
mod replay;
mod sim;
mod store;
mod values;
mod words;
mod world;

use digits_checkpoint::{
    Storage,
    manifest::FORMAT,
    publish,
    record::{Reason, Role, Route, ServingRecord},
};
use futures::StreamExt as _;
use jiff::SignedDuration;
use object_store::{ObjectStore as _, ObjectStoreExt as _, memory::InMemory, path::Path};
use programs::{Act, checkpoint, now, operator, reader, retention, trainer};
use replay::{Program, Replay};
use sim::Sim;
use stateright::{Checker, HasDiscoveries, Model as _};
use std::{collections::BTreeMap, sync::Arc};
use values::{Table, ValueId};
use words::{Key, Number, Sight, id};
use world::{Breach, World};

/// Numbers of the two trainers' checkpoints: newer than those that are there already.
const TRAINERS: [Number; 2] = [0x10, 0x20];

/// Long after everything here is over.
const NEVER: SignedDuration = SignedDuration::from_hours(1000);

/// What lies on the storage: these checkpoints, and one record for each of `log`.
fn storage_with(table: &Table, checkpoints: &[Number], log: &[Number]) -> BTreeMap<Key, ValueId> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut found = BTreeMap::new();
    runtime.block_on(async {
        let store = Arc::new(InMemory::new());
        let storage = Storage::from_store(store.clone(), Path::default());
        for &number in checkpoints {
            publish(&storage, checkpoint(number)).await.unwrap();
        }
        let metas: Vec<_> = store.list(None).collect().await;
        for meta in metas {
            let at = meta.unwrap().location;
            let bytes = store.get(&at).await.unwrap().bytes().await.unwrap();
            found.insert(Key::parse(&at), table.intern(bytes));
        }
    });
    for (&number, sequence) in log.iter().zip(1_u8..) {
        let record = ServingRecord {
            format: FORMAT,
            sequence: sequence.into(),
            nonce: format!("before {sequence}"),
            routes: vec![Route {
                checkpoint: id(number),
                role: Role::Primary,
                share: 1.0,
            }],
            hold: false,
            reason: Reason::Published,
            by: String::new(),
            at: now(0),
        };
        let bytes = serde_json::to_vec_pretty(&record).unwrap();
        found.insert(Key::Record(sequence), table.intern(bytes.into()));
    }
    found
}

fn program<F>(run: impl Fn(Sim, u8) -> F + Send + Sync + 'static) -> Program
where
    F: Future<Output = ()> + Send + 'static,
{
    Box::new(move |sim, life| Box::pin(run(sim, life)))
}

fn trains(which: usize) -> Program {
    program(move |sim, life| trainer(sim, TRAINERS[which], life))
}

fn operates(acts: &'static [Act], times: u8) -> Program {
    program(move |sim, _| operator(sim, acts, times))
}

fn retains(rounds: u8, abandoned_after: SignedDuration) -> Program {
    program(move |sim, _| retention(sim, rounds, abandoned_after))
}

fn reads(looks: u8) -> Program {
    program(move |sim, _| reader(sim, looks))
}

/// A world where nothing breaks yet; the reader is the last actor.
fn world(checkpoints: &[Number], log: &[Number], programs: Vec<Program>) -> World {
    let table = Arc::new(Table::default());
    World {
        initial: storage_with(&table, checkpoints, log),
        reader: programs.len() - 1,
        early: true,
        replay: Replay::new(table, programs),
        mortal: vec![],
        retention: None,
        grace_holds: true,
        faults: 0,
        kills: 0,
        stale: 0,
        breach: Breach::None,
        sights: Default::default(),
    }
}

/// Two trainers publish; one of them is killed at any moment, and a write of theirs is answered ambiguously.
fn publishing() -> World {
    World {
        mortal: vec![0, 1],
        kills: 1,
        faults: 1,
        ..world(&[1], &[1], vec![trains(0), trains(1), reads(1)])
    }
}

/// An operator rolls back and releases while a trainer publishes, is killed and begins again.
fn operating() -> World {
    let acts = &[Act::RollBack, Act::Release];
    World {
        mortal: vec![0],
        kills: 1,
        stale: 1,
        ..world(
            &[1, 2],
            &[1, 2],
            vec![trains(0), operates(acts, 2), reads(1)],
        )
    }
}

/// An operator starts and ends canaries while a trainer publishes.
fn trying_out() -> World {
    let acts = &[Act::Canary(1), Act::Drop, Act::Release];
    let programs = vec![trains(0), operates(acts, 2), reads(1)];
    World {
        mortal: vec![0],
        kills: 1,
        ..world(&[1, 2], &[2], programs)
    }
}

/// An operator who lets a canary serve that nothing names yet.
fn tries_out() -> Program {
    operates(&[Act::Canary(3)], 1)
}

/// An operator who promotes what nothing names yet.
fn promotes() -> Program {
    operates(&[Act::Promote(3)], 1)
}

/// Retention goes by its rules beside someone who promotes, and is killed once; the reader looks so often meanwhile.
fn retaining(someone: Program, looks: u8, stale: u8) -> World {
    let hour = SignedDuration::from_hours(1);
    let programs = vec![someone, retains(2, hour), reads(looks)];
    World {
        mortal: vec![0],
        kills: 1,
        stale,
        early: looks > 0,
        retention: Some(1),
        ..world(&[1, 2, 3], &[1, 2], programs)
    }
}

/// The same where the grace time is over at once, as if the clocks were wrong; nobody is killed.
fn hasty(someone: Program) -> World {
    let programs = vec![someone, retains(2, NEVER), reads(1)];
    World {
        grace_holds: false,
        retention: Some(1),
        ..world(&[1, 2, 3], &[1, 2], programs)
    }
}

/// Explores all of a world; everything must hold, and all of `sights` be seen.
fn holds(name: &str, world: World, sights: &[Sight]) {
    let begun = std::time::Instant::now();
    let checker = world.checker().spawn_bfs().join();
    let world = checker.model();
    println!(
        "{name}: {} states, {} places, {:?}",
        checker.unique_state_count(),
        world.replay.places(),
        begun.elapsed()
    );
    checker.assert_properties();
    let seen = world.sights.lock().unwrap();
    for sight in sights {
        assert!(seen.contains(sight), "{name}: never {sight:?}");
    }
}

#[test]
fn two_trainers_and_a_kill() {
    use Sight::{GivenUp, HeldBack, TakenUp};
    holds("publishing", publishing(), &[TakenUp, GivenUp, HeldBack]);
}

#[test]
fn an_operator_beside_a_trainer() {
    use Sight::{HeldBack, Lost, Refused, TakenUp};
    holds(
        "operating",
        operating(),
        &[Lost, Refused, HeldBack, TakenUp],
    );
}

#[test]
fn canaries_beside_a_trainer() {
    use Sight::{HeldBack, Lost, Refused};
    holds("canaries", trying_out(), &[Lost, Refused, HeldBack]);
}

#[test]
fn retention_with_its_grace_time() {
    use Sight::{Buried, Deleted, GivenUp, Spared};
    let seen = [Buried, Spared, Deleted];
    holds(
        "retention and an operator",
        retaining(promotes(), 1, 1),
        &seen,
    );
    holds(
        "retention and a canary",
        retaining(tries_out(), 1, 1),
        &seen,
    );
    let seen = [Buried, Deleted, GivenUp];
    holds("retention and a trainer", retaining(trains(0), 0, 0), &seen);
}

#[test]
fn retention_without_grace_time() {
    use Sight::{Buried, Deleted, GivenUp, Spared, TakenBack};
    let seen = [Buried, Spared, Deleted, TakenBack];
    holds("haste and an operator", hasty(promotes()), &seen);
    holds("haste and a canary", hasty(tries_out()), &seen);
    let seen = [Buried, Spared, Deleted, GivenUp];
    holds("haste and a trainer", hasty(trains(0)), &seen);
}

/// Whether exploring a world shows that it breaks this promise, and in how many steps.
fn broken(world: World, promise: &'static str) -> Option<usize> {
    let found = HasDiscoveries::AnyOf([promise].into());
    let checker = world.checker().finish_when(found).spawn_bfs().join();
    Some(checker.discovery(promise)?.into_actions().len())
}

/// The checker can find out: each step of the protocol that is left out breaks a promise.
#[test]
fn a_protocol_with_a_step_left_out_is_caught() {
    use Breach::{
        BlindAfterWriting, CreatesTwice, ForgetsPromotions, ManifestFirst, NoSecondLook,
        PassesHolds, PlansLate,
    };
    type Case = (Breach, fn() -> World, &'static str);
    let cases: [Case; 7] = [
        (BlindAfterWriting, || hasty(promotes()), promises::QUIET),
        (
            NoSecondLook,
            || retaining(promotes(), 1, 1),
            promises::DELETED,
        ),
        (PassesHolds, operating, promises::HOLD),
        (ForgetsPromotions, operating, promises::TWICE),
        (ManifestFirst, publishing, promises::TORN),
        (CreatesTwice, publishing, promises::ONE_RECORD),
        (PlansLate, publishing, promises::ENDED),
    ];
    for (breach, world, promise) in cases {
        let world = World { breach, ..world() };
        let steps = broken(world, promise);
        assert!(steps.is_some(), "{breach:?} breaks nothing");
        println!("{breach:?}: not {promise}: {steps:?} steps");
    }
    // And with no time to wait, a promoter's death after writing its record: only the grace time covers that.
    let world = World {
        mortal: vec![0],
        kills: 1,
        ..hasty(promotes())
    };
    assert!(broken(world, promises::QUIET).is_some());
}
