//! The objects of an in-process API server, with their versions and the history that watches read.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Resource, namespace (empty for none) and name.
pub type Key = (String, String, String);

/// A change that watches see.
#[derive(Clone)]
pub struct Change {
    pub version: u64,
    pub kind: &'static str,
    pub key: Key,
    pub object: Value,
}

/// Objects, their versions and changes.
#[derive(Default)]
pub struct Objects {
    version: u64,
    all: BTreeMap<Key, Value>,
    history: Vec<Change>,
    /// Verbs and resources that the trainer has used.
    pub used: BTreeSet<(String, String)>,
}

impl Objects {
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.all.get(key)
    }

    /// All objects of a resource, in one namespace if it is not empty.
    pub fn list(&self, resource: &str, namespace: &str) -> Vec<(Key, Value)> {
        let all = self.all.iter();
        all.filter(|(key, _)| key.0 == resource && (namespace.is_empty() || key.1 == namespace))
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect()
    }

    /// Adds an object; its metadata is completed.
    pub fn create(&mut self, key: Key, mut object: Value) -> Value {
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(key.2);
        if !key.1.is_empty() {
            metadata["namespace"] = json!(key.1);
        }
        metadata["uid"] = json!(uuid::Uuid::now_v7().to_string());
        metadata["creationTimestamp"] = json!(now());
        self.put("ADDED", key, object)
    }

    /// Changes an object; nothing happens where that leaves it as it was.
    pub fn update(&mut self, key: &Key, change: impl FnOnce(&mut Value)) -> Option<Value> {
        let before = self.all.get(key)?;
        let mut object = before.clone();
        change(&mut object);
        if object == *before {
            return Some(object);
        }
        Some(self.put("MODIFIED", key.clone(), object))
    }

    pub fn remove(&mut self, key: &Key) -> Option<Value> {
        let object = self.all.get(key)?.clone();
        let object = self.put("DELETED", key.clone(), object);
        self.all.remove(key);
        Some(object)
    }

    /// Changes after `version`, oldest first.
    pub fn since(&self, version: u64) -> Vec<Change> {
        let changes = self.history.iter();
        changes.filter(|it| it.version > version).cloned().collect()
    }

    fn put(&mut self, kind: &'static str, key: Key, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.all.insert(key.clone(), object.clone());
        self.history.push(Change {
            version: self.version,
            kind,
            key,
            object: object.clone(),
        });
        object
    }
}

pub fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
