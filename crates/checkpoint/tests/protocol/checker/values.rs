//! Interned values of keys: equal bytes have one number, and a record's number does not depend on
//! its time and nonce.

use super::types::{Number, ValueId, now, number};
use bytes::Bytes;
use digits_checkpoint::{
    record::{Reason, ServingRecord},
    sha256_hex,
};
use std::{collections::HashMap, sync::Mutex};

/// The content of a record that the properties need.
#[derive(Clone, Copy, Debug)]
pub struct RecordContent {
    pub primary: Number,
    /// The canary.
    pub canary: Option<Number>,
    pub hold: bool,
    pub published: bool,
    /// Digests of the manifests of primary and canary; 0 where the record has none.
    digests: [u64; 2],
}

impl RecordContent {
    /// All checkpoints of its routes.
    pub fn checkpoints(self) -> impl Iterator<Item = Number> {
        std::iter::once(self.primary).chain(self.canary)
    }

    /// All checkpoints of its routes with the digests of their manifests.
    pub fn promised(self) -> impl Iterator<Item = (Number, u64)> {
        self.checkpoints().zip(self.digests)
    }
}

/// The first 16 digits of a SHA-256.
fn shortened(sha256: &str) -> u64 {
    u64::from_str_radix(&sha256[..16], 16).unwrap()
}

struct Value {
    bytes: Bytes,
    content: Option<RecordContent>,
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
        let content = serde_json::from_slice(&bytes)
            .ok()
            .map(|record: ServingRecord| RecordContent {
                primary: number(record.primary().unwrap()),
                canary: record.routes.get(1).map(|route| number(route.checkpoint)),
                hold: record.hold,
                published: record.reason == Reason::Published,
                digests: std::array::from_fn(|index| {
                    let route = record.routes.get(index);
                    let digest = route.and_then(|it| it.manifest_sha256.as_deref());
                    digest.map_or(0, shortened)
                }),
            });
        inner.by_bytes.insert(bytes.clone(), value);
        inner.values.push(Value { bytes, content });
        value
    }

    /// The number of a record, by its content, its writer and its ordinal among the writer's
    /// records for that key.
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

    /// Digest of a value's bytes.
    pub fn digest(&self, value: ValueId) -> u64 {
        shortened(&sha256_hex(&self.bytes(value)))
    }

    /// The content of the record of this number.
    pub fn content(&self, value: ValueId) -> RecordContent {
        self.0.lock().unwrap().values[usize::from(value)]
            .content
            .expect("a record")
    }
}
