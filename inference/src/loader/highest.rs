//! Remembers the highest sequence that was seen of a model, so that whoever can write to the
//! storage cannot bring an older checkpoint back by withholding newer records.

use digits_checkpoint::{Refusal, RefusalReason, id::ModelName};
use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// The highest sequence of one model of which this replica has seen a record that it trusts.
#[derive(Debug)]
pub struct Highest {
    model: ModelName,
    /// The file that remembers it over restarts.
    file: Option<PathBuf>,
    sequence: AtomicU64,
    /// What the file holds.
    saved: AtomicU64,
    /// Whether a failure to write the file was logged.
    failed: AtomicBool,
}

impl Highest {
    /// Reads what an earlier process remembered in `folder`, which is created where it is missing,
    /// if one is given.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created, or the file cannot be read or holds no number.
    pub fn open(folder: Option<&Path>, model: &ModelName) -> io::Result<Self> {
        folder.map_or(Ok(()), fs::create_dir_all)?;
        let file = folder.map(|folder| folder.join(format!("highest-sequence-{model}")));
        let sequence = file.as_deref().map_or(Ok(0), read)?;
        Ok(Self {
            model: model.clone(),
            file,
            sequence: AtomicU64::new(sequence),
            saved: AtomicU64::new(sequence),
            failed: AtomicBool::new(false),
        })
    }

    /// The sequence; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Relaxed)
    }

    /// Refuses a record that is older.
    ///
    /// # Errors
    ///
    /// [`RefusalReason::Replay`].
    pub fn check(&self, sequence: u64) -> Result<(), Refusal> {
        let highest = self.sequence();
        if sequence >= highest {
            return Ok(());
        }
        let message = format!(
            "serving record {highest} was seen before, and none that is older is served: roll back with `digits rollback`, \
             which appends a record; where the serving log was begun anew on purpose, remove \
             highest-sequence-{} from the --state folder and restart",
            self.model
        );
        Err(Refusal::new(RefusalReason::Replay, message))
    }

    /// Remembers a sequence, in memory.
    pub fn raise(&self, sequence: u64) {
        self.sequence.fetch_max(sequence, Ordering::Relaxed);
    }

    /// Remembers the sequence over restarts, where there is a folder. A failure is logged once, and
    /// the next call tries again.
    pub async fn save(self: &Arc<Self>) {
        if self.file.is_none() || self.saved.load(Ordering::Relaxed) >= self.sequence() {
            return;
        }
        let highest = Arc::clone(self);
        let saved = tokio::task::spawn_blocking(move || highest.save_blocking());
        match saved.await.map_err(io::Error::other).flatten() {
            Ok(()) => self.failed.store(false, Ordering::Relaxed),
            Err(error) if !self.failed.swap(true, Ordering::Relaxed) => {
                let sequence = self.sequence();
                tracing::error!(
                    model = %self.model, sequence, %error,
                    "the --state folder cannot be written: the highest sequence is not remembered over a restart; retrying"
                );
            }
            Err(_) => {}
        }
    }

    fn save_blocking(&self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let sequence = self.sequence();
        let new = file.with_extension("new");
        let mut written = fs::File::create(&new)?;
        writeln!(written, "{sequence}")?;
        written.sync_all()?;
        fs::rename(&new, file)?;
        if let Some(folder) = file.parent() {
            fs::File::open(folder)?.sync_all()?;
        }
        self.saved.store(sequence, Ordering::Relaxed);
        Ok(())
    }
}

fn read(file: &Path) -> io::Result<u64> {
    match fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map_err(|_| {
            let message = format!(
                "{} holds no sequence number; restore or remove it",
                file.display()
            );
            io::Error::other(message)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_highest_sequence_survives_the_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("state");
        let model = ModelName::default();
        let open = || Highest::open(Some(&folder), &model).map(Arc::new);
        let highest = open().expect("a new folder");
        assert!(highest.check(1).is_ok());
        for sequence in [3, 7, 5] {
            highest.raise(sequence);
            highest.save().await;
        }
        for highest in [highest, open().expect("a number")] {
            assert_eq!(highest.sequence(), 7);
            assert!(highest.check(7).is_ok());
            let refusal = highest.check(6).expect_err("older");
            assert_eq!(refusal.reason, RefusalReason::Replay);
        }
        let other = Highest::open(Some(&folder), &"other".parse().expect("a name"));
        assert_eq!(other.expect("none yet").sequence(), 0);
        fs::write(folder.join("highest-sequence-digits"), "x").expect("written");
        let error = open().expect_err("no number").to_string();
        assert!(error.contains("holds no sequence number"), "{error}");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let model = ModelName::default();
        let highest = Highest::open(Some(folder.path()), &model).map(Arc::new);
        let highest = highest.expect("an empty folder");
        let blocked = folder.path().join("highest-sequence-digits.new");
        fs::create_dir(&blocked).expect("in place of the file");
        highest.raise(4);
        highest.save().await;
        let reopened = || Highest::open(Some(folder.path()), &model).expect("a folder");
        assert_eq!((highest.sequence(), reopened().sequence()), (4, 0));
        fs::remove_dir(&blocked).expect("removed");
        highest.save().await;
        assert_eq!(reopened().sequence(), 4);
    }
}
