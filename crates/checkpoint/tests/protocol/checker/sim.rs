//! A simulated storage and intent log: each operation is queued, and the program waits for its
//! answer.
//!
//! Holds no contents: the model gives the answers.

use super::{
    types::{
        Answer, Database, Event, Key, Number, Op, Stage, Transaction, ValueId, WaitFor, number,
    },
    values::Table,
};
use bytes::Bytes;
use digits_checkpoint::{
    Storage, StorageError, id::CheckpointId, publication::IntentLog, record::ServingRecord,
    serving::Decision,
};
use object_store::path::Path;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
};

#[derive(Default)]
struct Slot {
    answer: Option<Answer>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct State {
    /// Operations that wait for an answer, oldest first.
    waiting: VecDeque<(Op, Arc<Mutex<Slot>>)>,
    /// Bytes that this program wrote or tried to write, with its own nonces.
    own: Vec<(Key, ValueId, Bytes)>,
}

/// The environment of one run of a program; cheap to clone.
#[derive(Clone)]
pub struct Sim {
    table: Arc<Table>,
    /// Distinguishes the records of this run from those of all others.
    writer: u16,
    state: Arc<Mutex<State>>,
}

impl Sim {
    pub fn new(table: Arc<Table>, writer: u16) -> Self {
        Self {
            table,
            writer,
            state: Arc::default(),
        }
    }

    /// The storage as the program sees it.
    pub fn storage(&self) -> Storage {
        Storage::from_store(Arc::new(self.clone()), Path::default())
    }

    /// The oldest operation without an answer.
    pub fn next(&self) -> Option<Op> {
        self.state
            .lock()
            .unwrap()
            .waiting
            .front()
            .map(|(op, _)| *op)
    }

    /// Answers the oldest operation.
    pub fn answer(&self, answer: Answer) {
        let (_, slot) = self.state.lock().unwrap().waiting.pop_front().unwrap();
        let mut slot = slot.lock().unwrap();
        slot.answer = Some(answer);
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }

    /// Waits for the answer to `op`. Answers come in the order of the operations, so that a run can
    /// be replayed.
    pub async fn ask(&self, op: Op) -> Answer {
        let slot = Arc::<Mutex<Slot>>::default();
        let waits = (op, slot.clone());
        self.state.lock().unwrap().waiting.push_back(waits);
        std::future::poll_fn(move |context| {
            let mut slot = slot.lock().unwrap();
            match slot.answer.take() {
                Some(answer) => Poll::Ready(answer),
                None => {
                    slot.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub async fn emit(&self, event: Event) {
        self.ask(Op::Emit(event)).await;
    }

    /// Reports that the program believes to have written this record.
    pub async fn wrote(&self, record: &ServingRecord) {
        let bytes = Bytes::from(serde_json::to_vec_pretty(record).unwrap());
        let sequence = u8::try_from(record.sequence).unwrap();
        let value = self.value(Key::Record(sequence), &bytes);
        self.emit(Event::Wrote { sequence, value }).await;
    }

    pub async fn choose(&self, options: u8) -> u8 {
        match self.ask(Op::Choose(options)).await {
            Answer::Chosen(effect) => effect,
            answer => panic!("{answer:?} to a choice"),
        }
    }

    pub async fn wait(&self, wait: WaitFor) -> u8 {
        match self.ask(Op::Wait(wait)).await {
            Answer::Time(hours) => hours,
            answer => panic!("{answer:?} to a wait"),
        }
    }

    /// The entries of the intent log.
    pub async fn intents(&self) -> Vec<(Number, Stage)> {
        match self.ask(Op::ReadIntents).await {
            Answer::Intents(entries) => entries,
            answer => panic!("{answer:?} to a read"),
        }
    }

    /// Carries out a transaction; returns the state after it.
    pub async fn transact(&self, transaction: Transaction) -> Database {
        match self.ask(Op::Transact(transaction)).await {
            Answer::Database(database) => database,
            answer => panic!("{answer:?} to a transaction"),
        }
    }

    pub async fn write(&self, id: CheckpointId, stage: Stage) {
        self.ask(Op::Write(number(id), stage)).await;
    }

    /// The value of these bytes; of a record, without what differs from run to run.
    pub fn value(&self, key: Key, bytes: &Bytes) -> ValueId {
        if !key.is_record() {
            return self.table.intern(bytes.clone());
        }
        let mut state = self.state.lock().unwrap();
        if let Some((.., value, _)) = state.own.iter().find(|(.., own)| own == bytes) {
            return *value;
        }
        // Another nonce under the same key is another record, so records are counted.
        let before = state.own.iter().filter(|(own, ..)| *own == key).count();
        let foreign = self.table.find(bytes);
        let value = foreign.unwrap_or_else(|| self.table.record(bytes, self.writer, before));
        if foreign.is_none() {
            state.own.push((key, value, bytes.clone()));
        }
        value
    }

    /// The bytes of a value, with this run's nonces.
    pub fn bytes(&self, value: ValueId) -> Bytes {
        let state = self.state.lock().unwrap();
        let own = state.own.iter().find(|(_, own, _)| *own == value);
        own.map_or_else(|| self.table.bytes(value), |(.., bytes)| bytes.clone())
    }
}

impl IntentLog for Sim {
    type Error = StorageError;

    async fn committed(&self, id: CheckpointId) -> Result<(), StorageError> {
        self.write(id, Stage::Committed).await;
        Ok(())
    }

    async fn completed(&self, id: CheckpointId, _decision: &Decision) -> Result<(), StorageError> {
        self.write(id, Stage::Completed).await;
        Ok(())
    }

    async fn abandoned(&self, id: CheckpointId) -> Result<(), StorageError> {
        self.write(id, Stage::Abandoned).await;
        Ok(())
    }
}
