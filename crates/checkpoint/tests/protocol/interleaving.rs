//! The serving log under several writers at once, on a store that answers ambiguously.

use super::support::{Fault, memory, published};
use digits_checkpoint::{
    Storage,
    id::ModelName,
    manifest::Manifest,
    record::{Reason, Role, ServingRecord},
    serving::{
        AppendError, Candidate, Policy, head, list, promote, promote_published, record, release,
        rollback,
    },
};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeSet;

/// The next action of a writer, based on the head at that time.
#[derive(Clone, Copy, Debug)]
enum Action {
    Publish(usize, Policy),
    Promote(usize),
    RollBack,
    Release,
}

const CHECKPOINTS: usize = 6;

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0..CHECKPOINTS).prop_map(|which| Action::Publish(which, Policy::Latest)),
        1 => (0..CHECKPOINTS).prop_map(|which| Action::Publish(which, Policy::IfBetter)),
        1 => (0..CHECKPOINTS).prop_map(Action::Promote),
        1 => Just(Action::RollBack),
        2 => Just(Action::Release),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        5 => Just(Fault::None),
        1 => Just(Fault::FailBefore),
        1 => Just(Fault::FailAfter),
        1 => Just(Fault::ExistsThoughOurs),
        1 => Just(Fault::ExistsThoughAbsent),
    ]
}

async fn act(storage: &Storage, checkpoints: &[Manifest], action: Action) -> Option<ServingRecord> {
    let model = ModelName::default();
    let expected = head(storage, &model)
        .await
        .unwrap()
        .map_or(0, |head| head.sequence);
    let appended = match action {
        Action::Publish(which, policy) => {
            let rules = policy.into();
            let decided = promote_published(storage, &checkpoints[which], rules, "job").await;
            let sequence = decided.map_or(0, |decision| decision.sequence);
            return record(storage, &model, sequence).await.unwrap();
        }
        Action::Promote(which) => {
            let checkpoint = checkpoints[which].id;
            let candidate = Candidate {
                checkpoint,
                role: Role::Primary,
                share: None,
            };
            promote(storage, &model, expected, candidate, "operator").await
        }
        Action::RollBack => rollback(storage, &model, expected, 0, "operator").await,
        Action::Release => release(storage, &model, expected, "operator").await,
    };
    match appended {
        Ok(record) => Some(record),
        Err(AppendError::Lost { head }) => {
            assert!(
                head.sequence > expected,
                "lost to a record that is not newer"
            );
            None
        }
        Err(AppendError::Refused(_) | AppendError::Storage(_)) => None,
    }
}

async fn write_all(
    writers: Vec<Vec<Action>>,
    faults: Vec<Fault>,
    yields: Vec<u8>,
) -> (Vec<ServingRecord>, Vec<ServingRecord>) {
    let (storage, store) = memory();
    let mut checkpoints = Vec::new();
    for age in 0..CHECKPOINTS {
        checkpoints.push(published(&storage, age as i64).await);
    }
    store.set_faults(faults);
    store.set_yields(yields);
    let (storage, checkpoints) = (&storage, &checkpoints);
    let writers = writers.iter().map(|actions| async move {
        let mut reported = Vec::new();
        for &action in actions {
            reported.extend(act(storage, checkpoints, action).await);
        }
        reported
    });
    let reported = futures::future::join_all(writers).await.concat();
    let landed: BTreeSet<_> = store.landed().into_iter().collect();
    assert_eq!(
        landed.len(),
        store.landed().len(),
        "a key was written twice"
    );

    let model = ModelName::default();
    let sequences = list(storage, &model).await.unwrap();
    assert_eq!(
        sequences,
        (1..=sequences.len() as u64).collect::<Vec<_>>(),
        "a hole"
    );
    let mut log = Vec::new();
    for sequence in sequences {
        log.push(record(storage, &model, sequence).await.unwrap().unwrap());
    }
    (reported, log)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_record_is_lost_duplicated_or_overrides_a_hold(
        writers in vec(vec(action(), 1..6), 2..5),
        faults in vec(fault(), 0..40),
        yields in vec(0_u8..4, 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (reported, log) = runtime.block_on(write_all(writers, faults, yields));
        for record in &reported {
            let there = &log[record.sequence as usize - 1];
            prop_assert_eq!(record, there, "a writer got a record that does not exist");
        }
        // A promotion by policy may be returned to several writers; an operator's record belongs to
        // one.
        let mut nonces = BTreeSet::new();
        for record in reported.iter().filter(|record| record.reason != Reason::Published) {
            prop_assert!(nonces.insert(&record.nonce), "two writers got the same record");
        }
        let mut promoted = BTreeSet::new();
        for (index, record) in log.iter().enumerate() {
            if record.reason == Reason::Published {
                prop_assert!(index == 0 || !log[index - 1].hold, "record {} passes a hold", index + 1);
                prop_assert!(promoted.insert(record.primary()), "promoted twice");
            }
        }
    }
}
