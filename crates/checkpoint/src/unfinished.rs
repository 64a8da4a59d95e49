//! Marks of jobs that published checkpoints and did not get to their end:
//! `jobs/<job>/<state>.json`.
//!
//! A manifest is written before its job ends and never changed, so the outcome has a key of its own,
//! for readers without the trainer's database. The state is in the key: a listing shows all.

use crate::{
    keys,
    manifest::FORMAT,
    storage::{Storage, StorageError},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How a job ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// By a cancellation.
    Cancelled,
    /// By an error.
    Failed,
}

impl Unfinished {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Cancelled, Self::Failed]
            .into_iter()
            .find(|known| known.as_str() == text)
    }
}

/// The content of a mark.
#[derive(Serialize, Deserialize)]
struct Mark {
    /// Version of the layout, [`FORMAT`].
    format: u32,
    /// When it was written.
    at: Timestamp,
}

/// Marks a job, whose id is a UUID. Idempotent.
///
/// # Errors
/// The store's error: repeat it.
pub async fn mark(storage: &Storage, job: &str, how: Unfinished) -> Result<(), StorageError> {
    let mark = Mark {
        format: FORMAT,
        at: Timestamp::now(),
    };
    let text = serde_json::to_vec_pretty(&mark).expect("a mark is plain data");
    let key = keys::unfinished(job, how.as_str());
    // An earlier mark is as good.
    storage.create(&key, text.into()).await.map(|_| ())
}

/// All marked jobs. Cancel-safe.
///
/// # Errors
/// The store's error.
pub async fn list(storage: &Storage) -> Result<HashMap<String, Unfinished>, StorageError> {
    let marks = marks(storage).await?.into_iter();
    Ok(marks.map(|mark| (mark.job, mark.how)).collect())
}

/// A mark on the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMark {
    /// Id of the job.
    pub job: String,
    /// How it ended.
    pub how: Unfinished,
    /// When the mark was written, by the storage's clock.
    pub written: Timestamp,
}

/// The marks that this program knows. Cancel-safe.
pub(crate) async fn marks(storage: &Storage) -> Result<Vec<StoredMark>, StorageError> {
    let entries = storage.list(keys::JOBS, None).await?;
    let marks = entries.iter().filter_map(|entry| {
        let (job, state) = keys::parse_unfinished(&entry.key)?;
        Some(StoredMark {
            job: job.to_owned(),
            how: Unfinished::parse(state)?,
            written: entry.modified,
        })
    });
    Ok(marks.collect())
}

/// Deletes a mark.
pub(crate) async fn unmark(storage: &Storage, mark: &StoredMark) -> Result<(), StorageError> {
    let key = keys::unfinished(&mark.job, mark.how.as_str());
    storage.delete(&key).await?;
    if let Some(folder) = storage.folder() {
        let folder = folder.join(keys::JOBS).join(&mark.job);
        // Stays while it holds anything else.
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir(folder)).await?;
    }
    Ok(())
}
