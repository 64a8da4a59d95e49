//! Attempts at jobs that train outside the trainer's process: `runs/<job>/<attempt>/`.
//!
//! The trainer numbers an attempt in its own database, creates its record here and starts its
//! worker. The worker writes nothing outside its attempt: it appends numbered reports, and puts
//! resume bundles and drafts of checkpoints beside them, each before the report that names it. The
//! trainer reads report after report by number, so it needs no listing, and a read that misses the
//! newest report is repeated. It alone writes checkpoints and serving records.
//!
//! Attempts of a job have increasing numbers, and a number is used once: what a worker of an
//! earlier attempt still writes is read by nobody. A bundle is a point to resume from only once its
//! report was read, because all output before it was reported before it.
//!
//! The content of records, reports, bundles and drafts is opaque here.

use crate::{
    keys,
    storage::{Created, Storage, StorageError},
};
use bytes::Bytes;
use futures::future::try_join_all;
use std::{collections::BTreeSet, fmt};

/// Largest record or report that is read.
const RECORD_LIMIT: u64 = 16 << 20;
/// Largest bundle or file of a draft that is read.
const FILE_LIMIT: u64 = 8 << 30;

/// Objects of a job that are deleted at a time.
const CONCURRENT_DELETIONS: usize = 16;

/// Files of a draft.
const MANIFEST: &str = "manifest.cbor";
const MODEL: &str = "model.safetensors";
const EXAM: &str = "exam.safetensors";

/// The files of a checkpoint that is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftFiles {
    /// Its manifest, in a form that keeps every bit of a number.
    pub manifest: Bytes,
    /// Its weights.
    pub model: Bytes,
    /// Its exam.
    pub exam: Bytes,
}

/// An attempt at a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Id of the job, a UUID.
    pub job: String,
    /// Its number, from 1.
    pub number: u32,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.number)
    }
}

impl Attempt {
    /// Creates the record of the attempt, which its worker reads first. Idempotent.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the attempt has another record; else the store's error.
    pub async fn create_record(&self, storage: &Storage, bytes: Bytes) -> Result<(), StorageError> {
        create(storage, self.record_key(), bytes).await
    }

    /// The record of the attempt; `None` when there is none. Cancel-safe.
    ///
    /// # Errors
    /// The store's error.
    pub async fn record(&self, storage: &Storage) -> Result<Option<Bytes>, StorageError> {
        storage.get(&self.record_key(), RECORD_LIMIT).await
    }

    /// Report `number`, from 1; `None` when it is not there yet. Cancel-safe.
    ///
    /// # Errors
    /// The store's error.
    pub async fn report(
        &self,
        storage: &Storage,
        number: u64,
    ) -> Result<Option<Bytes>, StorageError> {
        let key = keys::run_report(&self.job, self.number, number);
        storage.get(&key, RECORD_LIMIT).await
    }

    /// Puts resume bundle `number`. Idempotent.
    ///
    /// # Errors
    /// As [`create_record`](Self::create_record).
    pub async fn put_bundle(
        &self,
        storage: &Storage,
        number: u64,
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        create(storage, self.bundle_key(number), bytes).await
    }

    /// Resume bundle `number`; `None` when it is gone. Cancel-safe.
    ///
    /// # Errors
    /// The store's error.
    pub async fn bundle(
        &self,
        storage: &Storage,
        number: u64,
    ) -> Result<Option<Bytes>, StorageError> {
        storage.get_bulk(&self.bundle_key(number), FILE_LIMIT).await
    }

    /// Deletes resume bundle `number`, when two newer ones were read.
    ///
    /// # Errors
    /// The store's error.
    pub async fn delete_bundle(&self, storage: &Storage, number: u64) -> Result<(), StorageError> {
        storage.delete(&self.bundle_key(number)).await
    }

    /// Puts the draft of a checkpoint, the `number`th of the attempt. Idempotent.
    ///
    /// # Errors
    /// As [`create_record`](Self::create_record).
    pub async fn put_draft(
        &self,
        storage: &Storage,
        number: u64,
        draft: DraftFiles,
    ) -> Result<(), StorageError> {
        let DraftFiles {
            manifest,
            model,
            exam,
        } = draft;
        for (name, bytes) in [(MODEL, model), (EXAM, exam), (MANIFEST, manifest)] {
            create(storage, self.draft_key(number, name), bytes).await?;
        }
        Ok(())
    }

    /// Draft `number`. Cancel-safe.
    ///
    /// # Errors
    /// [`StorageError::Missing`]; else the store's error.
    pub async fn draft(&self, storage: &Storage, number: u64) -> Result<DraftFiles, StorageError> {
        let file = async |name| {
            let key = self.draft_key(number, name);
            let bytes = storage.get_bulk(&key, FILE_LIMIT).await?;
            bytes.ok_or(StorageError::Missing { key })
        };
        Ok(DraftFiles {
            manifest: file(MANIFEST).await?,
            model: file(MODEL).await?,
            exam: file(EXAM).await?,
        })
    }

    /// Deletes draft `number`, when its checkpoint is published.
    ///
    /// # Errors
    /// The store's error.
    pub async fn delete_draft(&self, storage: &Storage, number: u64) -> Result<(), StorageError> {
        for name in [MANIFEST, MODEL, EXAM] {
            storage.delete(&self.draft_key(number, name)).await?;
        }
        Ok(())
    }

    fn record_key(&self) -> String {
        keys::run_record(&self.job, self.number)
    }

    fn bundle_key(&self, number: u64) -> String {
        keys::run_bundle(&self.job, self.number, number)
    }

    fn draft_key(&self, number: u64, name: &str) -> String {
        keys::run_draft(&self.job, self.number, number, name)
    }
}

/// The worker's end of an attempt's reports.
#[derive(Debug)]
pub struct ReportLog {
    storage: Storage,
    attempt: Attempt,
    appended: u64,
}

impl ReportLog {
    /// The reports of an attempt that has none yet.
    #[must_use]
    pub fn new(storage: Storage, attempt: Attempt) -> Self {
        Self {
            storage,
            attempt,
            appended: 0,
        }
    }

    /// Appends a report. After a failure it may exist or still appear: the next call must have the
    /// same bytes.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when another worker of the same attempt reports; the bytes of the
    /// first report must differ for that, such as by a nonce. Else the store's error.
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let Attempt { job, number } = &self.attempt;
        let key = keys::run_report(job, *number, self.appended + 1);
        create(&self.storage, key, bytes).await?;
        self.appended += 1;
        Ok(())
    }
}

/// Deletes everything of a job that is over.
///
/// # Errors
/// The store's error: repeat it.
pub async fn clear(storage: &Storage, job: &str) -> Result<(), StorageError> {
    let folder = keys::runs_of(job);
    let entries = storage.list(&folder, None).await?;
    for some in entries.chunks(CONCURRENT_DELETIONS) {
        try_join_all(some.iter().map(|entry| storage.delete(&entry.key))).await?;
    }
    if let Some(root) = storage.folder() {
        // The folders themselves, with staging files of a killed writer, which the store hides.
        let path = root.join(&folder);
        let cleared = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await?;
        if let Err(source) = cleared
            && source.kind() != std::io::ErrorKind::NotFound
        {
            let path = root.join(&folder);
            return Err(StorageError::Folder { path, source });
        }
    }
    Ok(())
}

/// Ids of the jobs of which anything is there. Cancel-safe.
///
/// # Errors
/// The store's error.
pub async fn jobs(storage: &Storage) -> Result<BTreeSet<String>, StorageError> {
    let entries = storage.list(keys::RUNS, None).await?;
    let jobs = entries.iter().filter_map(|it| keys::parse_run(&it.key));
    Ok(jobs.map(str::to_owned).collect())
}

async fn create(storage: &Storage, key: String, bytes: Bytes) -> Result<(), StorageError> {
    match storage.create(&key, bytes).await? {
        Created::Ours => Ok(()),
        Created::Theirs => Err(StorageError::Conflict { key }),
    }
}
