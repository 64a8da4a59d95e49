//! What lies under keys, by number: equal bytes have one number, and a record is the same whenever and with whatever
//! nonce a run wrote it.

use super::{
    programs::now,
    words::{Number, number},
};
use bytes::Bytes;
use digits_checkpoint::record::{Reason, ServingRecord};
use std::{collections::HashMap, sync::Mutex};

/// The number of a value.
pub type ValueId = u16;

/// What a record says, as far as the properties ask.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub primary: Number,
    /// The canary.
    pub beside: Option<Number>,
    pub hold: bool,
    pub published: bool,
}

impl Said {
    /// All checkpoints that it names.
    pub fn names(self) -> impl Iterator<Item = Number> {
        std::iter::once(self.primary).chain(self.beside)
    }
}

struct Value {
    bytes: Bytes,
    said: Option<Said>,
}

#[derive(Default)]
struct Inner {
    by_bytes: HashMap<Bytes, ValueId>,
    values: Vec<Value>,
}

/// All values of a model.
#[derive(Default)]
pub struct Table(Mutex<Inner>);

impl Table {
    /// The number of these bytes, if they have one.
    pub fn find(&self, bytes: &Bytes) -> Option<ValueId> {
        self.0.lock().unwrap().by_bytes.get(bytes).copied()
    }

    pub fn intern(&self, bytes: Bytes) -> ValueId {
        let mut inner = self.0.lock().unwrap();
        if let Some(known) = inner.by_bytes.get(&bytes) {
            return *known;
        }
        let value = ValueId::try_from(inner.values.len()).expect("few values");
        let said = serde_json::from_slice(&bytes)
            .ok()
            .map(|record: ServingRecord| Said {
                primary: number(record.primary().unwrap()),
                beside: record.routes.get(1).map(|route| number(route.checkpoint)),
                hold: record.hold,
                published: record.reason == Reason::Published,
            });
        inner.by_bytes.insert(bytes.clone(), value);
        inner.values.push(Value { bytes, said });
        value
    }

    /// The number of a record: of what it says, of who wrote it, and the how manieth for that place it is.
    pub fn record(&self, bytes: &Bytes, writer: u16, ordinal: usize) -> ValueId {
        let mut record: ServingRecord = serde_json::from_slice(bytes).unwrap();
        record.nonce = format!("{writer}.{ordinal}");
        record.at = now(0);
        self.intern(serde_json::to_vec_pretty(&record).unwrap().into())
    }

    /// The same record without its hold.
    pub fn without_hold(&self, value: ValueId) -> ValueId {
        let mut record: ServingRecord = serde_json::from_slice(&self.bytes(value)).unwrap();
        record.hold = false;
        self.intern(serde_json::to_vec_pretty(&record).unwrap().into())
    }

    pub fn bytes(&self, value: ValueId) -> Bytes {
        self.0.lock().unwrap().values[usize::from(value)]
            .bytes
            .clone()
    }

    /// What the record of this number says.
    pub fn said(&self, value: ValueId) -> Said {
        self.0.lock().unwrap().values[usize::from(value)]
            .said
            .expect("a record")
    }
}
