//! A storage and a ledger whose every operation is one step: it is written down, and the program waits for the answer.
//!
//! Knows nothing of what is on the storage: the answers come from outside.

use super::{
    values::{Table, ValueId},
    words::{Answer, Event, Key, Number, Op, Stage, Until, number},
};
use bytes::Bytes;
use digits_checkpoint::{
    Storage, StorageError, id::CheckpointId, intention::Ledger, record::ServingRecord,
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
    /// What waits for an answer, oldest first.
    waiting: VecDeque<(Op, Arc<Mutex<Slot>>)>,
    /// Bytes that this program has written or tried to: what it reads of them has its own nonce.
    own: Vec<(Key, ValueId, Bytes)>,
}

/// The outside of one run of a program; cheap to clone.
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

    /// The operation that has waited longest for its answer.
    pub fn next(&self) -> Option<Op> {
        self.state
            .lock()
            .unwrap()
            .waiting
            .front()
            .map(|(op, _)| *op)
    }

    /// Answers it.
    pub fn answer(&self, answer: Answer) {
        let (_, slot) = self.state.lock().unwrap().waiting.pop_front().unwrap();
        let mut slot = slot.lock().unwrap();
        slot.answer = Some(answer);
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }

    /// Waits for the answer to `op`. It is given in the order of asking, so that a run can be repeated.
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

    pub async fn tell(&self, event: Event) {
        self.ask(Op::Tell(event)).await;
    }

    /// Tells that the program was told of this record.
    pub async fn wrote(&self, record: &ServingRecord) {
        let bytes = Bytes::from(serde_json::to_vec_pretty(record).unwrap());
        let sequence = u8::try_from(record.sequence).unwrap();
        let value = self.value(Key::Record(sequence), &bytes);
        self.tell(Event::Wrote { sequence, value }).await;
    }

    pub async fn choose(&self, ways: u8) -> u8 {
        match self.ask(Op::Choose(ways)).await {
            Answer::Chosen(way) => way,
            answer => panic!("{answer:?} to a choice"),
        }
    }

    pub async fn wait(&self, until: Until) -> u8 {
        match self.ask(Op::Wait(until)).await {
            Answer::Time(hours) => hours,
            answer => panic!("{answer:?} to a wait"),
        }
    }

    /// What the ledger has.
    pub async fn ledger(&self) -> Vec<(Number, Stage)> {
        match self.ask(Op::ReadLedger).await {
            Answer::Ledger(entries) => entries,
            answer => panic!("{answer:?} to a read"),
        }
    }

    pub async fn write(&self, id: CheckpointId, stage: Stage) {
        self.ask(Op::Write(number(id), stage)).await;
    }

    /// The number of these bytes: those of a record without what differs from run to run.
    pub fn value(&self, key: Key, bytes: &Bytes) -> ValueId {
        if !key.is_record() {
            return self.table.intern(bytes.clone());
        }
        let mut state = self.state.lock().unwrap();
        if let Some((.., value, _)) = state.own.iter().find(|(.., own)| own == bytes) {
            return *value;
        }
        // The how manieth under this key: another nonce is another record.
        let before = state.own.iter().filter(|(own, ..)| *own == key).count();
        let foreign = self.table.find(bytes);
        let value = foreign.unwrap_or_else(|| self.table.record(bytes, self.writer, before));
        if foreign.is_none() {
            state.own.push((key, value, bytes.clone()));
        }
        value
    }

    /// The bytes of a value, as this run would have written them.
    pub fn bytes(&self, value: ValueId) -> Bytes {
        let state = self.state.lock().unwrap();
        let own = state.own.iter().find(|(_, own, _)| *own == value);
        own.map_or_else(|| self.table.bytes(value), |(.., bytes)| bytes.clone())
    }
}

impl Ledger for Sim {
    type Error = StorageError;

    async fn committed(&self, id: CheckpointId) -> Result<(), StorageError> {
        self.write(id, Stage::Committed).await;
        Ok(())
    }

    async fn done(&self, id: CheckpointId, _sequence: u64) -> Result<(), StorageError> {
        self.write(id, Stage::Done).await;
        Ok(())
    }

    async fn abandoned(&self, id: CheckpointId) -> Result<(), StorageError> {
        self.write(id, Stage::Abandoned).await;
        Ok(())
    }
}
