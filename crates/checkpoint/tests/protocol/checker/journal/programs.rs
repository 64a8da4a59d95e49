//! The actors of a journal: trainers that take it over, append changes, and clear what is old.

use crate::checker::{
    sim::Sim,
    types::{Coverage, Event, JournalKey, Key, WaitFor, now},
};
use bytes::Bytes;
use digits_checkpoint::{
    StorageError,
    journal::{
        AppendError, Identity, Journal, Position, Replica, TakeOverError, Writer, take_over,
    },
};
use std::convert::Infallible;

/// What a trainer does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Its number, from 0.
    pub trainer: u8,
    /// How often it takes over: again after it was replaced, with what it had applied until then.
    pub takeovers: u8,
    /// Changes that it appends after each takeover.
    pub appends: u8,
    /// Whether it then clears what is old.
    pub clears: bool,
}

/// A database: the changes in the order in which they were applied.
#[derive(Default)]
struct Database {
    position: Option<Position>,
    changes: Vec<u8>,
    restored: bool,
}

impl Replica for Database {
    type Error = Infallible;

    fn position(&self) -> Option<Position> {
        self.position
    }

    fn apply(&mut self, at: Position, changes: &Bytes) -> Result<(), Infallible> {
        self.changes.extend_from_slice(changes);
        self.position = Some(at);
        Ok(())
    }

    fn pass(&mut self, at: Position) {
        self.position = Some(at);
    }

    fn restore(&mut self, at: Position, snapshot: Bytes) -> Result<(), Infallible> {
        self.changes = snapshot.to_vec();
        self.position = Some(at);
        self.restored = true;
        Ok(())
    }

    fn begin(&mut self, at: Position) -> Result<Bytes, Infallible> {
        self.position = Some(at);
        Ok(self.snapshot())
    }
}

impl Database {
    fn snapshot(&self) -> Bytes {
        self.changes.clone().into()
    }
}

/// Why a trainer goes no further.
enum Ended {
    Replaced,
    Failed(StorageError),
}

impl From<StorageError> for Ended {
    fn from(error: StorageError) -> Self {
        Self::Failed(error)
    }
}

impl From<AppendError> for Ended {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Fenced => Self::Replaced,
            AppendError::Storage(error) => Self::Failed(error),
        }
    }
}

async fn unexpected(sim: &Sim, error: impl ToString) {
    let text: &'static str = Box::leak(error.to_string().into_boxed_str());
    sim.emit(Event::Unexpected(text)).await;
}

/// A trainer. After a crash it takes over once, with an empty database.
pub async fn trainer(sim: Sim, life: u8, plan: Plan) {
    let mut database = Database::default();
    let takeovers = if life > 0 { 1 } else { plan.takeovers };
    for round in 0..takeovers {
        let nonce = plan.trainer * 16 + life * 4 + round;
        if round > 0 {
            sim.emit(Event::Reached(Coverage::Returned)).await;
        }
        match serve(&sim, plan, nonce, &mut database).await {
            Ok(()) => return,
            Err(Ended::Replaced) => sim.emit(Event::Reached(Coverage::ShutOut)).await,
            Err(Ended::Failed(error)) => unexpected(&sim, error).await,
        }
    }
}

/// Takes over when all others have ended: everything must still be there.
pub async fn last(sim: Sim) {
    sim.wait(WaitFor::Quiet).await;
    let plan = Plan {
        trainer: 15,
        takeovers: 1,
        appends: 0,
        clears: false,
    };
    trainer(sim, 0, plan).await;
}

async fn serve(sim: &Sim, plan: Plan, nonce: u8, database: &mut Database) -> Result<(), Ended> {
    let journal = Journal::new(sim.storage(), "t".parse().unwrap());
    let identity = Identity {
        nonce: nonce.to_string(),
        folder: plan.trainer.to_string(),
        host: String::new(),
        since: now(0),
    };
    let taken = take_over(&journal, &identity, database).await;
    let mut writer = match taken {
        Ok(writer) => writer,
        Err(TakeOverError::Lost) => return Err(Ended::Replaced),
        Err(TakeOverError::Storage(error)) => return Err(Ended::Failed(error)),
        Err(error) => {
            unexpected(sim, error).await;
            return Ok(());
        }
    };
    if database.restored {
        sim.emit(Event::Reached(Coverage::Restored)).await;
    }
    // Of any key: the changes are compared alone.
    let any = Key::Journal(JournalKey::Snapshot(0, 0));
    let changes = sim.value(any, &database.snapshot());
    let epoch = u8::try_from(writer.position().epoch).unwrap();
    sim.emit(Event::Opened { epoch, changes }).await;
    for number in 0..plan.appends {
        append(sim, &mut writer, database, nonce * 4 + number).await?;
    }
    if plan.clears {
        clear(sim, &journal, &mut writer, database).await?;
    }
    Ok(())
}

async fn append(
    sim: &Sim,
    writer: &mut Writer,
    database: &mut Database,
    change: u8,
) -> Result<(), Ended> {
    let changes = Bytes::from(vec![change]);
    let at = writer.append(changes.clone()).await?;
    let Ok(()) = database.apply(at, &changes);
    let epoch = u8::try_from(at.epoch).unwrap();
    sim.emit(Event::Stored { epoch, change }).await;
    Ok(())
}

/// Snapshots this epoch and the next one, so that those before can go.
async fn clear(
    sim: &Sim,
    journal: &Journal,
    writer: &mut Writer,
    database: &mut Database,
) -> Result<(), Ended> {
    let snapshot = database.snapshot();
    journal.put_snapshot(writer.position(), snapshot).await?;
    writer.roll().await?;
    database.pass(writer.position());
    let snapshot = database.snapshot();
    journal.put_snapshot(writer.position(), snapshot).await?;
    journal.prune().await?;
    sim.emit(Event::Reached(Coverage::Pruned)).await;
    Ok(())
}
