//! The actors of an attempt: a worker that reports, and a trainer that follows.

use crate::checker::{
    sim::Sim,
    types::{Coverage, Database, Event, JOB, Reported, RunKey, Transaction, WaitFor},
};
use bytes::Bytes;
use digits_checkpoint::{
    StorageError,
    runs::{Attempt, ReportLog},
};

/// Steps of the job; each has a row, and there is a bundle after the first.
pub const STEPS: u8 = 2;
/// The attempts of which the trainer may believe at any time that their worker is dead.
const DOUBTED: u8 = 1;

/// A step of the protocol that is left out, to show that a property catches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// The trainer resumes from a bundle whose report it has not taken in.
    ResumeUnreported,
    /// The worker reports a bundle before the output that precedes it.
    BundleFirst,
    /// A restarted trainer follows the reports from the first one.
    ForgetPosition,
}

fn attempt(number: u8) -> Attempt {
    Attempt {
        job: JOB.to_owned(),
        number: number.into(),
    }
}

/// The bytes of a report, which differ from those of another worker.
fn bytes(reported: Reported, nonce: u8) -> Bytes {
    match reported {
        Reported::Opened => format!("opened 0 0 {nonce}"),
        Reported::Row(step) => format!("row {step} 0 {nonce}"),
        Reported::Bundle(number, step) => format!("bundle {number} {step} {nonce}"),
        Reported::Ended => format!("ended 0 0 {nonce}"),
    }
    .into()
}

fn parse(bytes: &[u8]) -> Reported {
    let text = std::str::from_utf8(bytes).unwrap();
    let words: Vec<&str> = text.split(' ').collect();
    let number = |index: usize| words[index].parse().unwrap();
    match words[0] {
        "opened" => Reported::Opened,
        "row" => Reported::Row(number(1)),
        "bundle" => Reported::Bundle(number(1), number(2)),
        "ended" => Reported::Ended,
        other => panic!("no report: {other}"),
    }
}

/// The worker that wrote a report.
pub fn nonce(bytes: &[u8]) -> u8 {
    let text = std::str::from_utf8(bytes).unwrap();
    text.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn unexpected(sim: &Sim, error: &StorageError) {
    let text: &'static str = Box::leak(error.to_string().into_boxed_str());
    sim.emit(Event::Unexpected(text)).await;
}

/// The worker of an attempt. Once crashed, it does not come back.
pub async fn worker(sim: Sim, life: u8, number: u8, nonce: u8, flaw: Flaw) {
    if life > 0 {
        return;
    }
    if let Err(error) = work(&sim, number, nonce, flaw).await {
        match error {
            StorageError::Conflict { .. } => sim.emit(Event::Reached(Coverage::ShutOut)).await,
            error => unexpected(&sim, &error).await,
        }
    }
}

async fn work(sim: &Sim, number: u8, nonce: u8, flaw: Flaw) -> Result<(), StorageError> {
    let (storage, own) = (sim.storage(), attempt(number));
    sim.wait(WaitFor::There(RunKey::Record(number))).await;
    let Some(record) = own.record(&storage).await? else {
        return Ok(());
    };
    let resume: Vec<u8> = record.to_vec();
    let (mut done, from) = (resume[2], (resume[0], resume[1]));
    if done > 0 {
        let bundle = attempt(from.0).bundle(&storage, from.1.into()).await?;
        if bundle.as_deref() != Some(&[done]) {
            sim.emit(Event::Unexpected("a bundle to resume from is missing"))
                .await;
        }
        sim.emit(Event::Reached(Coverage::Resumed)).await;
    }
    let mut log = ReportLog::new(storage.clone(), own.clone());
    log.append(bytes(Reported::Opened, nonce)).await?;
    while done < STEPS {
        done += 1;
        let row = bytes(Reported::Row(done), nonce);
        if done > 1 {
            log.append(row).await?;
            continue;
        }
        let bundle = bytes(Reported::Bundle(1, done), nonce);
        let reports = match flaw {
            Flaw::BundleFirst => [bundle, row],
            _ => [row, bundle],
        };
        let [first, second] = reports;
        if flaw == Flaw::BundleFirst {
            own.put_bundle(&storage, 1, vec![done].into()).await?;
        }
        log.append(first).await?;
        if flaw != Flaw::BundleFirst {
            own.put_bundle(&storage, 1, vec![done].into()).await?;
        }
        log.append(second).await?;
    }
    log.append(bytes(Reported::Ended, nonce)).await
}

/// The trainer: opens attempts until one has ended, and follows the reports of each.
pub async fn trainer(sim: Sim, life: u8, flaw: Flaw) {
    if let Err(error) = run(&sim, life, flaw).await {
        unexpected(&sim, &error).await;
    }
}

async fn run(sim: &Sim, life: u8, flaw: Flaw) -> Result<(), StorageError> {
    let storage = sim.storage();
    let mut state = sim.transact(Transaction::Read).await;
    if state.open {
        sim.emit(Event::Reached(Coverage::Adopted)).await;
        if flaw == Flaw::ForgetPosition && life > 0 {
            state.followed = 0;
        }
    }
    while state.finished == 0 {
        if !state.open {
            state = sim.transact(Transaction::Begin).await;
            create_record(sim, &state, flaw).await?;
        }
        let own = attempt(state.attempt);
        let mut dead = state.attempt <= DOUBTED && sim.choose(2).await == 1;
        let ended = loop {
            let next = state.followed + 1;
            if let Some(report) = own.report(&storage, next.into()).await? {
                let reported = parse(&report);
                let taking = Transaction::TakeIn(state.attempt, next, reported);
                state = sim.transact(taking).await;
                if state.refused {
                    sim.emit(Event::Unexpected("a report is refused")).await;
                }
                if reported == Reported::Ended {
                    break true;
                }
            } else if dead {
                break false;
            } else {
                let there = WaitFor::ThereOrNever(RunKey::Report(state.attempt, next));
                // No more reports: once more, because the newest may have been missed.
                dead = sim.wait(there).await == 0;
            }
        };
        let closing = match ended {
            true => Transaction::Finish,
            false => Transaction::Close(state.attempt),
        };
        state = sim.transact(closing).await;
    }
    Ok(())
}

async fn create_record(sim: &Sim, state: &Database, flaw: Flaw) -> Result<(), StorageError> {
    let storage = sim.storage();
    let (mut from, mut number, mut step) = state.bundle.unwrap_or_default();
    if flaw == Flaw::ResumeUnreported && step == 0 && state.attempt > 1 {
        let before = state.attempt - 1;
        if let Some(bundle) = attempt(before).bundle(&storage, 1).await? {
            (from, number, step) = (before, 1, bundle[0]);
        }
    }
    let record = vec![from, number, step];
    attempt(state.attempt)
        .create_record(&storage, record.into())
        .await
}
