//! Decides what a retention sweep marks, unmarks and deletes: a pure function of an inventory.

use crate::{
    id::{CheckpointId, ModelName},
    unfinished::StoredMark,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Checkpoints that are kept in addition to those that the serving logs protect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Number of the newest checkpoints of each model.
    pub keep_newest: usize,
    /// Checkpoints younger than this, by `created_at`.
    pub keep_younger: SignedDuration,
    /// Time between tombstone and deletion; must exceed the duration of any promotion.
    pub grace: SignedDuration,
    /// Age after which files without a manifest, and marks of jobs without a checkpoint, are
    /// abandoned; must exceed the duration of any publication, including a restart.
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

/// A checkpoint on the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Its id.
    pub id: CheckpointId,
    /// Its state.
    pub state: State,
    /// When its tombstone was written; `None` when it has none.
    pub tombstone: Option<Timestamp>,
}

/// State of a checkpoint on the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A complete checkpoint.
    Committed {
        /// The model it is for.
        model: ModelName,
        /// When it was created.
        created_at: Timestamp,
        /// Newest serving record of the model when it was published, if that is known.
        after_sequence: Option<u64>,
    },
    /// With a manifest that this program cannot read: never deleted.
    Unreadable,
    /// Without a manifest: being published, abandoned, or partly deleted.
    Uncommitted {
        /// When the newest file was written.
        touched: Timestamp,
    },
}

/// The content of the storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// All checkpoints.
    pub checkpoints: Vec<StoredCheckpoint>,
    /// Checkpoints that the serving logs protect, read after the tombstones.
    pub referenced: BTreeSet<CheckpointId>,
    /// Jobs that complete checkpoints are of.
    pub jobs: BTreeSet<String>,
    /// Marks of cancelled and failed jobs.
    pub marks: Vec<StoredMark>,
}

/// The actions of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Checkpoints that get a tombstone.
    pub bury: Vec<CheckpointId>,
    /// Checkpoints whose tombstone is removed.
    pub spare: Vec<CheckpointId>,
    /// Checkpoints that are deleted.
    pub delete: Vec<CheckpointId>,
    /// Marks that are deleted: their jobs have no checkpoint any more.
    pub unmark: Vec<StoredMark>,
}

/// Decides the actions at `now`. Checkpoints in `keep` are kept in any case.
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
            // With a tombstone the deletion was decided earlier, and may have started.
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
    plan.unmark = obsolete_marks(now, rules, inventory);
    plan
}

/// Marks of jobs without a checkpoint. A young mark stays, because a publication of its job may be
/// in progress; so do all of them while any checkpoint is unreadable, which may be of any job.
fn obsolete_marks(now: Timestamp, rules: &Rules, inventory: &Inventory) -> Vec<StoredMark> {
    let mut checkpoints = inventory.checkpoints.iter();
    if checkpoints.any(|it| it.state == State::Unreadable) {
        return Vec::new();
    }
    let marks = inventory.marks.iter().filter(|mark| {
        !inventory.jobs.contains(&mark.job)
            && now.duration_since(mark.written) >= rules.abandoned_after
    });
    marks.cloned().collect()
}

/// The `count` newest of each model: published after the latest records, and of those after the same
/// record by their times.
fn newest(checkpoints: &[StoredCheckpoint], count: usize) -> BTreeSet<CheckpointId> {
    type Order = (Option<u64>, Timestamp, CheckpointId);
    let mut models: BTreeMap<&ModelName, Vec<Order>> = BTreeMap::new();
    for checkpoint in checkpoints {
        if let State::Committed {
            model,
            created_at,
            after_sequence,
        } = &checkpoint.state
        {
            let order = (*after_sequence, *created_at, checkpoint.id);
            models.entry(model).or_default().push(order);
        }
    }
    let sorted = models.into_values().flat_map(|mut group| {
        group.sort_unstable_by(|left, right| right.cmp(left));
        group.into_iter().take(count).map(|(.., id)| id)
    });
    sorted.collect()
}
