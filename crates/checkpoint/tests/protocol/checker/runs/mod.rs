//! Model checking of attempts outside the trainer's process: workers report, the trainer follows,
//! and both may crash.
//!
//! At any step the trainer may take the first worker for dead although it still runs, as on a node
//! that is cut off: then both workers write.

mod model;
mod programs;

use super::{program, replay::Replay, types::Coverage, values::Table};
use model::RunModel;
use programs::{Flaw, trainer, worker};
use stateright::{Checker, HasDiscoveries, Model as _};
use std::sync::Arc;

/// A trainer and the workers of these attempts.
fn model(attempts: &[u8], stale: u8, flaw: Flaw) -> RunModel {
    let mut programs = vec![program(move |sim, life| trainer(sim, life, flaw))];
    for (&attempt, nonce) in attempts.iter().zip(1..) {
        programs.push(program(move |sim, life| {
            worker(sim, life, attempt, nonce, flaw)
        }));
    }
    RunModel {
        replay: Replay::new(Arc::new(Table::default()), programs),
        workers: attempts.to_vec(),
        can_crash: vec![0, 1],
        crashes: 1,
        stale,
        coverage: Default::default(),
    }
}

/// The third worker runs when the trainer crashes before the second one is started.
const ATTEMPTS: [u8; 3] = [1, 2, 3];
/// The first attempt is started twice.
const STARTED_TWICE: [u8; 4] = [1, 1, 2, 3];

#[test]
fn attempts_with_crashes_keep_all_properties() {
    for (attempts, stale, reached) in [
        (&ATTEMPTS[..], 1, vec![Coverage::Adopted, Coverage::Resumed]),
        (
            &STARTED_TWICE[..],
            0,
            vec![Coverage::Adopted, Coverage::Resumed, Coverage::ShutOut],
        ),
    ] {
        let started = std::time::Instant::now();
        let checker = model(attempts, stale, Flaw::None)
            .checker()
            .spawn_bfs()
            .join();
        println!(
            "attempts {attempts:?}: {} states, {} program states, {:?}",
            checker.unique_state_count(),
            checker.model().replay.states(),
            started.elapsed()
        );
        checker.assert_properties();
        let seen = checker.model().coverage.lock().unwrap();
        for reached in reached {
            assert!(seen.contains(&reached), "{attempts:?}: never {reached:?}");
        }
    }
}

/// Mutation testing of the properties: each step of the protocol that is left out violates one.
#[test]
fn every_omitted_step_of_an_attempt_violates_a_property() {
    for (flaw, property) in [
        (Flaw::ResumeUnreported, model::ROWS),
        (Flaw::BundleFirst, model::ROWS),
        (Flaw::ForgetPosition, model::EXPECTED),
    ] {
        let found = HasDiscoveries::AnyOf([property].into());
        let checker = model(&ATTEMPTS, 1, flaw).checker();
        let checker = checker.finish_when(found).spawn_bfs().join();
        let steps = checker.discovery(property);
        let steps = steps.map(|path| path.into_actions().len());
        assert!(steps.is_some(), "{flaw:?} violates nothing");
        println!("{flaw:?}: not {property}: {steps:?} steps");
    }
}
