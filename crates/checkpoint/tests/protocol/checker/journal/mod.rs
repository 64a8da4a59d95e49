//! Model checking of the journal of a trainer's database: trainers take over from each other, and
//! none of them knows whether the one before is dead.
//!
//! A trainer that was replaced may continue with its next operation at any later step, as after
//! SIGSTOP and SIGCONT.

mod model;
mod programs;

use super::{program, replay::Replay, types::Coverage, values::Table};
use model::{Flaw, JournalModel};
use programs::{Plan, last, trainer};
use stateright::{Checker, HasDiscoveries, Model as _};
use std::sync::Arc;

/// These trainers, and one that takes over when they have ended.
fn model(plans: &[Plan], crashes: u8, stale: u8, flaw: Flaw) -> JournalModel {
    let mut programs = Vec::new();
    for &plan in plans {
        programs.push(program(move |sim, life| trainer(sim, life, plan)));
    }
    programs.push(program(|sim, _| last(sim)));
    JournalModel {
        replay: Replay::new(Arc::new(Table::default()), programs),
        can_crash: (0..plans.len()).collect(),
        crashes,
        stale,
        flaw,
        coverage: Default::default(),
    }
}

fn plan(trainer: u8, takeovers: u8, appends: u8) -> Plan {
    Plan {
        trainer,
        takeovers,
        appends,
        clears: false,
    }
}

/// A trainer that appends and returns, and one that clears what is old.
fn clearing() -> Vec<Plan> {
    vec![plan(0, 2, 1), clears(1)]
}

/// The same, and one that may claim an epoch of long ago.
fn clearing_of_two() -> Vec<Plan> {
    vec![plan(0, 1, 1), clears(0), plan(2, 1, 1)]
}

fn clears(appends: u8) -> Plan {
    Plan {
        clears: true,
        ..plan(1, 1, appends)
    }
}

#[test]
fn takeovers_keep_all_properties() {
    use Coverage::{Pruned, Restored, Returned, ShutOut};
    let two = vec![plan(0, 2, 2), plan(1, 1, 1)];
    let crashing = vec![plan(0, 1, 1), plan(1, 1, 1)];
    let three = vec![plan(0, 1, 1), plan(1, 1, 1), plan(2, 1, 1)];
    let all = [
        ("two", two, 0, 0, vec![ShutOut, Returned]),
        ("two that crash", crashing, 1, 1, vec![ShutOut, Restored]),
        ("three", three, 0, 0, vec![ShutOut, Restored]),
        (
            "clearing",
            clearing(),
            0,
            1,
            vec![ShutOut, Restored, Returned, Pruned],
        ),
        (
            "clearing of two",
            clearing_of_two(),
            0,
            0,
            vec![ShutOut, Restored, Pruned],
        ),
    ];
    for (name, plans, crashes, stale, reached) in all {
        let started = std::time::Instant::now();
        let checker = model(&plans, crashes, stale, Flaw::None)
            .checker()
            .spawn_bfs()
            .join();
        println!(
            "{name}: {} states, {} program states, {:?}",
            checker.unique_state_count(),
            checker.model().replay.states(),
            started.elapsed()
        );
        checker.assert_properties();
        let seen = checker.model().coverage.lock().unwrap();
        for reached in reached {
            assert!(seen.contains(&reached), "{name}: never {reached:?}");
        }
    }
}

/// Mutation testing of the properties: each rule of the protocol that is broken violates one.
#[test]
fn every_broken_rule_of_the_journal_violates_a_property() {
    type Case = (Flaw, fn() -> Vec<Plan>);
    let cases: [Case; 4] = [
        (Flaw::SkipSeals, clearing),
        (Flaw::DeleteSeals, clearing),
        (Flaw::DeleteEpochs, clearing_of_two),
        (Flaw::CreateTwice, clearing),
    ];
    for (flaw, plans) in cases {
        let property = model::KEPT;
        let found = HasDiscoveries::AnyOf([property].into());
        let checker = model(&plans(), 0, 0, flaw).checker();
        let checker = checker.finish_when(found).spawn_bfs().join();
        let steps = checker.discovery(property);
        let steps = steps.map(|path| path.into_actions().len());
        assert!(steps.is_some(), "{flaw:?} violates nothing");
        println!("{flaw:?}: not {property}: {steps:?} steps");
    }
}
