//! Model checking of the storage protocol with stateright.
//!
//! Explores every interleaving of a few actors' operations on one storage, with crashes, writes
//! that take effect after their writer's crash, ambiguous answers and stale reads. Only the storage
//! and the intent logs are modelled: the actors run the functions of the crate themselves, stopped
//! at each operation ([`sim`]) and continued with each possible answer ([`replay`]). [`model`] has
//! the state, [`transitions`] the actions, [`properties`] the invariants; [`runs`] does the same for
//! attempts outside the trainer's process, [`journal`] for trainers that take over from each other.
//! Not covered: corrupt bytes (see `refusals`) and differing clocks.

mod actions;
mod actors;
mod journal;
mod model;
mod programs;
mod properties;
mod replay;
mod runs;
mod sim;
mod store;
mod transitions;
mod types;
mod values;

use digits_checkpoint::{
    Storage,
    manifest::FORMAT,
    publish,
    record::{Reason, Role, Route, ServingRecord},
    serving::Scope,
    sha256_hex,
};
use futures::StreamExt as _;
use jiff::SignedDuration;
use model::{Mutation, ProtocolModel};
use object_store::{ObjectStore as _, ObjectStoreExt as _, memory::InMemory, path::Path};
use programs::{OperatorAction, TRAINERS, checkpoint, operator, reader, retention, trainer};
use replay::{Program, Replay};
use sim::Sim;
use stateright::{Checker, HasDiscoveries, Model as _};
use std::{collections::BTreeMap, sync::Arc};
use types::{Coverage, File, Key, Number, ValueId, id, now};
use values::Table;

/// Longer than any run of the model.
const NEVER: SignedDuration = SignedDuration::from_hours(1000);

/// The initial storage: these checkpoints, and one serving record for each of `log`.
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
                manifest_sha256: Some(manifest_sha256(&found, table, number)),
            }],
            hold: false,
            reason: Reason::Published,
            by: String::new(),
            note: None,
            at: now(0),
        };
        let bytes = serde_json::to_vec_pretty(&record).unwrap();
        found.insert(Key::Record(sequence), table.intern(bytes.into()));
    }
    found
}

/// The digest of a checkpoint's manifest.
fn manifest_sha256(store: &BTreeMap<Key, ValueId>, table: &Table, number: Number) -> String {
    let value = store[&Key::File(number, File::Manifest)];
    sha256_hex(&table.bytes(value))
}

fn program<F>(run: impl Fn(Sim, u8) -> F + Send + Sync + 'static) -> Program
where
    F: Future<Output = ()> + Send + 'static,
{
    Box::new(move |sim, life| Box::pin(run(sim, life)))
}

fn trainer_program(which: usize) -> Program {
    scoped_trainer_program(which, Scope::Any)
}

fn scoped_trainer_program(which: usize, scope: Scope) -> Program {
    program(move |sim, life| trainer(sim, TRAINERS[which], life, scope))
}

fn operator_program(actions: &'static [OperatorAction], times: u8) -> Program {
    program(move |sim, _| operator(sim, actions, times))
}

fn retention_program(rounds: u8, abandoned_after: SignedDuration) -> Program {
    program(move |sim, _| retention(sim, rounds, abandoned_after))
}

fn reader_program(polls: u8) -> Program {
    program(move |sim, _| reader(sim, polls))
}

/// A model without faults; the reader is the last actor.
fn model(checkpoints: &[Number], log: &[Number], programs: Vec<Program>) -> ProtocolModel {
    let table = Arc::new(Table::default());
    ProtocolModel {
        initial: storage_with(&table, checkpoints, log),
        reader: programs.len() - 1,
        polls_early: true,
        replay: Replay::new(table, programs),
        can_crash: vec![],
        retention: None,
        grace_holds: true,
        scope: Scope::Any,
        faults: 0,
        crashes: 0,
        stale: 0,
        mutation: Mutation::None,
        coverage: Default::default(),
    }
}

/// Two trainers publish; one of them crashes at any moment, and one write gets an ambiguous answer.
fn publishing() -> ProtocolModel {
    ProtocolModel {
        can_crash: vec![0, 1],
        crashes: 1,
        faults: 1,
        ..model(
            &[1],
            &[1],
            vec![trainer_program(0), trainer_program(1), reader_program(1)],
        )
    }
}

/// Two trainers of jobs that name no model publish, one of them on other data; one crashes.
fn other_data() -> ProtocolModel {
    let scope = Scope::SameData;
    let programs = vec![
        scoped_trainer_program(0, scope),
        scoped_trainer_program(1, scope),
        reader_program(1),
    ];
    ProtocolModel {
        can_crash: vec![0, 1],
        crashes: 1,
        scope,
        ..model(&[1], &[1], programs)
    }
}

/// An operator rolls back and releases while a trainer publishes, crashes and restarts.
fn operating() -> ProtocolModel {
    let actions = &[OperatorAction::RollBack, OperatorAction::Release];
    ProtocolModel {
        can_crash: vec![0],
        crashes: 1,
        stale: 1,
        ..model(
            &[1, 2],
            &[1, 2],
            vec![
                trainer_program(0),
                operator_program(actions, 2),
                reader_program(1),
            ],
        )
    }
}

/// An operator starts and drops canaries while a trainer publishes.
fn canaries() -> ProtocolModel {
    let actions = &[
        OperatorAction::Canary(1),
        OperatorAction::Drop,
        OperatorAction::Release,
    ];
    let programs = vec![
        trainer_program(0),
        operator_program(actions, 2),
        reader_program(1),
    ];
    ProtocolModel {
        can_crash: vec![0],
        crashes: 1,
        ..model(&[1, 2], &[2], programs)
    }
}

/// An operator promotes a canary that no record names yet.
fn canary_promoter() -> Program {
    operator_program(&[OperatorAction::Canary(3)], 1)
}

/// An operator promotes a checkpoint that no record names yet.
fn primary_promoter() -> Program {
    operator_program(&[OperatorAction::Promote(3)], 1)
}

/// Retention runs by its rules during promotions by an actor that crashes once; the reader polls
/// `polls` times meanwhile.
fn with_retention(promoter: Program, polls: u8, stale: u8) -> ProtocolModel {
    let hour = SignedDuration::from_hours(1);
    let programs = vec![promoter, retention_program(2, hour), reader_program(polls)];
    ProtocolModel {
        can_crash: vec![0],
        crashes: 1,
        stale,
        polls_early: polls > 0,
        retention: Some(1),
        ..model(&[1, 2, 3], &[1, 2], programs)
    }
}

/// The same without a grace time, as if the clocks were wrong; no actor crashes.
fn without_grace_time(promoter: Program) -> ProtocolModel {
    let programs = vec![promoter, retention_program(2, NEVER), reader_program(1)];
    ProtocolModel {
        grace_holds: false,
        retention: Some(1),
        ..model(&[1, 2, 3], &[1, 2], programs)
    }
}

/// Explores a model completely: every property must hold, and all of `coverage` must be reached.
fn check(name: &str, model: ProtocolModel, coverage: &[Coverage]) {
    let started = std::time::Instant::now();
    let checker = model.checker().spawn_bfs().join();
    let model = checker.model();
    println!(
        "{name}: {} states, {} program states, {:?}",
        checker.unique_state_count(),
        model.replay.states(),
        started.elapsed()
    );
    checker.assert_properties();
    let seen = model.coverage.lock().unwrap();
    for reached in coverage {
        assert!(seen.contains(reached), "{name}: never {reached:?}");
    }
}

#[test]
fn two_trainers_and_a_crash_keep_all_properties() {
    use Coverage::{Abandoned, NotPromoted, Recovered};
    check(
        "publishing",
        publishing(),
        &[Recovered, Abandoned, NotPromoted],
    );
}

#[test]
fn a_trainer_on_other_data_keeps_all_properties() {
    use Coverage::{Abandoned, OtherData, Recovered};
    check(
        "other data",
        other_data(),
        &[Recovered, Abandoned, OtherData],
    );
}

#[test]
fn an_operator_and_a_trainer_keep_all_properties() {
    use Coverage::{Lost, NotPromoted, Recovered, Refused};
    check(
        "operating",
        operating(),
        &[Lost, Refused, NotPromoted, Recovered],
    );
}

#[test]
fn canaries_and_a_trainer_keep_all_properties() {
    use Coverage::{Lost, NotPromoted, Refused};
    check("canaries", canaries(), &[Lost, Refused, NotPromoted]);
}

#[test]
fn retention_with_its_grace_time_keeps_all_properties() {
    use Coverage::{Abandoned, Buried, Deleted, Spared};
    let seen = [Buried, Spared, Deleted];
    check(
        "retention and an operator",
        with_retention(primary_promoter(), 1, 1),
        &seen,
    );
    check(
        "retention and a canary",
        with_retention(canary_promoter(), 1, 1),
        &seen,
    );
    let seen = [Buried, Deleted, Abandoned];
    check(
        "retention and a trainer",
        with_retention(trainer_program(0), 0, 0),
        &seen,
    );
}

#[test]
fn retention_without_grace_time_reverts_what_it_deletes() {
    use Coverage::{Abandoned, Buried, Deleted, Reverted, Spared};
    let seen = [Buried, Spared, Deleted, Reverted];
    check(
        "no grace time and an operator",
        without_grace_time(primary_promoter()),
        &seen,
    );
    check(
        "no grace time and a canary",
        without_grace_time(canary_promoter()),
        &seen,
    );
    let seen = [Buried, Spared, Deleted, Abandoned];
    check(
        "no grace time and a trainer",
        without_grace_time(trainer_program(0)),
        &seen,
    );
}

/// The steps of a counterexample to `property`, if the model has one.
fn counterexample(model: ProtocolModel, property: &'static str) -> Option<usize> {
    let found = HasDiscoveries::AnyOf([property].into());
    let checker = model.checker().finish_when(found).spawn_bfs().join();
    Some(checker.discovery(property)?.into_actions().len())
}

/// Mutation testing of the properties: each step of the protocol that is left out violates one.
#[test]
fn every_omitted_step_violates_a_property() {
    use Mutation::{
        CreateTwice, ForgetPromotions, IgnoreHold, ManifestFirst, PlanLate, SkipCheckAfterWrite,
        SkipComparison, SkipSecondRead,
    };
    type Case = (Mutation, fn() -> ProtocolModel, &'static str);
    let cases: [Case; 8] = [
        (
            SkipCheckAfterWrite,
            || without_grace_time(primary_promoter()),
            properties::QUIET,
        ),
        (
            SkipSecondRead,
            || with_retention(primary_promoter(), 1, 1),
            properties::DELETED,
        ),
        (IgnoreHold, operating, properties::HOLD),
        (ForgetPromotions, operating, properties::TWICE),
        (ManifestFirst, publishing, properties::TORN),
        (CreateTwice, publishing, properties::ONE_RECORD),
        (PlanLate, publishing, properties::ENDED),
        (SkipComparison, other_data, properties::SCOPE),
    ];
    for (mutation, model, property) in cases {
        let model = ProtocolModel {
            mutation,
            ..model()
        };
        let steps = counterexample(model, property);
        assert!(steps.is_some(), "{mutation:?} violates nothing");
        println!("{mutation:?}: not {property}: {steps:?} steps");
    }
    // A promoter's crash after writing its record is covered by the grace time alone.
    let model = ProtocolModel {
        can_crash: vec![0],
        crashes: 1,
        ..without_grace_time(primary_promoter())
    };
    assert!(counterexample(model, properties::QUIET).is_some());
}
