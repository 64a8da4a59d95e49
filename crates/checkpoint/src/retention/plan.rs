//! The decision: pure, so that it can be tested on any inventory. Reads and deletes nothing.

use crate::id::{CheckpointId, ModelName};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What is kept beyond what the serving logs protect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Newest checkpoints of each model.
    pub keep_newest: usize,
    /// Checkpoints younger than this, by `created_at`.
    pub keep_younger: SignedDuration,
    /// Time between tombstone and deletion; longer than any promotion takes.
    pub grace: SignedDuration,
    /// Age after which files without a manifest count as left behind; longer than any publishing takes, a
    /// restart included.
    pub abandoned_after: SignedDuration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            keep_newest: 20,
            keep_younger: SignedDuration::from_hours(7 * 24),
            grace: SignedDuration::from_hours(1),
            abandoned_after: SignedDuration::from_hours(7 * 24),
        }
    }
}

/// A checkpoint's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Which.
    pub id: CheckpointId,
    /// What is in it.
    pub state: State,
    /// When its tombstone was written; `None` when it has none.
    pub tombstone: Option<Timestamp>,
}

/// What is in a checkpoint's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A whole checkpoint.
    Committed {
        /// The model it is for.
        model: ModelName,
        /// When it was made.
        created_at: Timestamp,
    },
    /// A manifest that this program does not understand: never touched.
    Unreadable,
    /// No manifest: being published, left behind, or half deleted.
    Uncommitted {
        /// When the newest file was written.
        touched: Timestamp,
    },
}

/// What lies on the storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// All folders.
    pub checkpoints: Vec<StoredCheckpoint>,
    /// What the serving logs protect, read after the tombstones.
    pub referenced: BTreeSet<CheckpointId>,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Get a tombstone.
    pub bury: Vec<CheckpointId>,
    /// Lose theirs.
    pub spare: Vec<CheckpointId>,
    /// Are deleted.
    pub delete: Vec<CheckpointId>,
}

/// Decides what becomes of each folder at `now`. `keep` is kept in any case.
#[must_use]
pub fn plan(
    now: Timestamp,
    rules: &Rules,
    inventory: &Inventory,
    keep: &BTreeSet<CheckpointId>,
) -> Plan {
    let newest = newest(&inventory.checkpoints, rules.keep_newest);
    let mut plan = Plan::default();
    for checkpoint in &inventory.checkpoints {
        let id = checkpoint.id;
        let needed = match &checkpoint.state {
            State::Unreadable => true,
            State::Committed { created_at, .. } => {
                keep.contains(&id)
                    || inventory.referenced.contains(&id)
                    || newest.contains(&id)
                    || now.duration_since(*created_at) < rules.keep_younger
            }
            // With a tombstone it was decided before, and the deletion was perhaps begun.
            State::Uncommitted { touched } => {
                keep.contains(&id)
                    || checkpoint.tombstone.is_none()
                        && now.duration_since(*touched) < rules.abandoned_after
            }
        };
        match checkpoint.tombstone {
            None if !needed => plan.bury.push(id),
            Some(_) if needed => plan.spare.push(id),
            Some(at) if now.duration_since(at) >= rules.grace => plan.delete.push(id),
            None | Some(_) => {}
        }
    }
    plan
}

/// The `count` newest of each model.
fn newest(checkpoints: &[StoredCheckpoint], count: usize) -> BTreeSet<CheckpointId> {
    let mut models: BTreeMap<&ModelName, Vec<(Timestamp, CheckpointId)>> = BTreeMap::new();
    for checkpoint in checkpoints {
        if let State::Committed { model, created_at } = &checkpoint.state {
            models
                .entry(model)
                .or_default()
                .push((*created_at, checkpoint.id));
        }
    }
    let sorted = models.into_values().flat_map(|mut group| {
        group.sort_unstable_by(|left, right| right.cmp(left));
        group.into_iter().take(count).map(|(_, id)| id)
    });
    sorted.collect()
}
