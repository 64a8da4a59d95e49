//! Resume bundles as files below the state folder: written atomically and durably, checked by a
//! digest when they are read; the previous bundle is kept until the next is durable.
//!
//! The content of a bundle is opaque here.

use crate::job::JobId;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// Start of every file; then come the digest of the rest, the step (u64, little-endian) and the
/// bundle.
const MAGIC: &[u8; 16] = b"digits bundle 1\n";
const DIGEST: usize = 32;
const STEP: usize = 8;

const NEWEST: &str = "bundle";
const PREVIOUS: &str = "before";
const UNFINISHED: &str = "part";

/// The folder of all bundles.
pub struct Bundles {
    folder: PathBuf,
}

/// A valid bundle.
pub struct StoredBundle {
    /// The bundle.
    pub bytes: Vec<u8>,
    /// Steps done when it was taken.
    pub step: u64,
    pub(super) path: PathBuf,
}

/// A bundle that is durable.
pub(super) struct WrittenBundle {
    pub(super) bytes: usize,
    /// Time that encoding and writing it took.
    pub(super) elapsed: Duration,
}

impl Bundles {
    /// Opens the folder below `state`, and creates it where it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(state: &Path) -> io::Result<Self> {
        let folder = state.join("bundles");
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Replaces the bundle of a job, taken after `step` steps. It is durable when this returns;
    /// after a failure the previous bundle is still there.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn write(&self, job: JobId, step: u64, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.path(job, UNFINISHED);
        let written = write_durably(&unfinished, step, bytes);
        if written.is_err() {
            // Free what was written of it: the disk may be full.
            let _ = fs::remove_file(&unfinished);
        }
        written?;
        let newest = self.path(job, NEWEST);
        match fs::rename(&newest, self.path(job, PREVIOUS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(&unfinished, &newest)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Returns the newest valid bundle of a job. Corrupt bundles are deleted and reported through
    /// `on_corrupt`.
    pub fn read(&self, job: JobId, mut on_corrupt: impl FnMut(&str)) -> Option<StoredBundle> {
        for kind in [NEWEST, PREVIOUS] {
            let path = self.path(job, kind);
            let reason = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => error.to_string(),
                Ok(file) => match decode(&file) {
                    Some((step, bytes)) => {
                        let bytes = bytes.to_vec();
                        return Some(StoredBundle { bytes, step, path });
                    }
                    None => "its digest does not match".to_owned(),
                },
            };
            on_corrupt(&reason);
            // Else the next one to be written would push out the intact one in its place.
            let _ = fs::remove_file(&path);
        }
        None
    }

    /// The step of the newest bundle of a job, where that is valid.
    #[must_use]
    pub fn newest_step(&self, job: JobId) -> Option<u64> {
        let file = fs::read(self.path(job, NEWEST)).ok()?;
        decode(&file).map(|(step, _)| step)
    }

    /// Deletes the bundles of a job that is over.
    pub fn remove(&self, job: JobId) {
        for kind in [NEWEST, PREVIOUS, UNFINISHED] {
            // On failure the next start sweeps it.
            let _ = fs::remove_file(self.path(job, kind));
        }
    }

    /// Deletes the files that belong to none of `jobs`, and returns how many.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn sweep(&self, jobs: &HashSet<JobId>) -> io::Result<usize> {
        let mut swept = 0;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let job = path.file_stem().and_then(|stem| stem.to_str());
            let job = job.and_then(|stem| stem.parse().ok());
            if job.is_none_or(|job| !jobs.contains(&job)) && fs::remove_file(&path).is_ok() {
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn path(&self, job: JobId, kind: &str) -> PathBuf {
        self.folder.join(format!("{job}.{kind}"))
    }
}

/// Deletes the file of a bundle that the training refused.
pub(super) fn discard(path: &Path) {
    // On failure it is refused again.
    let _ = fs::remove_file(path);
}

/// The file of a bundle that was taken after `step` steps.
pub(super) fn encode(step: u64, bytes: &[u8]) -> Vec<u8> {
    [&head(step, bytes), bytes].concat()
}

/// Step and bundle of a file, if its digest matches.
pub(super) fn decode(file: &[u8]) -> Option<(u64, &[u8])> {
    let (expected, rest) = file.strip_prefix(MAGIC)?.split_first_chunk::<DIGEST>()?;
    let (step, bytes) = rest.split_first_chunk::<STEP>()?;
    (digest(step, bytes) == *expected).then_some((u64::from_le_bytes(*step), bytes))
}

/// What precedes the bundle in its file.
fn head(step: u64, bytes: &[u8]) -> Vec<u8> {
    let step = step.to_le_bytes();
    [&MAGIC[..], &digest(&step, bytes), &step].concat()
}

fn write_durably(path: &Path, step: u64, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&head(step, bytes))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn digest(step: &[u8], bytes: &[u8]) -> [u8; DIGEST] {
    Sha256::new()
        .chain_update(step)
        .chain_update(bytes)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Bundles, JobId) {
        let folder = tempfile::tempdir().expect("a folder");
        let bundles = Bundles::open(folder.path()).expect("made");
        (folder, bundles, JobId::generate())
    }

    /// The bundle that is read, and the number of corrupt ones.
    fn read(bundles: &Bundles, job: JobId) -> (Option<Vec<u8>>, usize) {
        let mut damaged = 0;
        let found = bundles.read(job, |_| damaged += 1);
        assert!(found.as_ref().is_none_or(|found| found.step == 7));
        (found.map(|found| found.bytes), damaged)
    }

    #[test]
    fn a_corrupt_bundle_is_replaced_by_the_previous_one() {
        let (_folder, bundles, job) = folder();
        assert_eq!(read(&bundles, job), (None, 0));
        for bytes in [b"first", b"secnd", b"third"] {
            bundles.write(job, 7, bytes).expect("written");
            assert_eq!(read(&bundles, job), (Some(bytes.to_vec()), 0));
        }
        let newest = bundles.path(job, NEWEST);
        let whole = fs::read(&newest).expect("there");
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&newest, flipped).expect("written");
            assert_eq!(
                read(&bundles, job),
                (Some(b"secnd".to_vec()), 1),
                "byte {at}"
            );
        }
        fs::write(&newest, &whole[..whole.len() - 1]).expect("written");
        assert_eq!(read(&bundles, job), (Some(b"secnd".to_vec()), 1), "cut");
        // The next one does not push out the intact one in favour of the damaged one.
        bundles.write(job, 7, b"fourth").expect("written");
        fs::write(&newest, b"nonsense").expect("written");
        assert_eq!(read(&bundles, job), (Some(b"secnd".to_vec()), 1));
    }

    #[test]
    fn a_discarded_bundle_is_replaced_by_the_previous_one() {
        let (_folder, bundles, job) = folder();
        bundles.write(job, 7, b"first").expect("written");
        bundles.write(job, 7, b"second").expect("written");
        let found = bundles.read(job, |_| {}).expect("there");
        discard(&found.path);
        assert_eq!(read(&bundles, job), (Some(b"first".to_vec()), 0));
    }

    #[test]
    fn an_interrupted_write_changes_nothing() {
        let (_folder, bundles, job) = folder();
        bundles.write(job, 7, b"first").expect("written");
        fs::write(bundles.path(job, UNFINISHED), b"digits bun").expect("written");
        assert_eq!(read(&bundles, job), (Some(b"first".to_vec()), 0));
        // Between the two renames.
        fs::rename(bundles.path(job, NEWEST), bundles.path(job, PREVIOUS)).expect("renamed");
        assert_eq!(read(&bundles, job), (Some(b"first".to_vec()), 0));
        bundles.write(job, 7, b"second").expect("written");
        assert_eq!(read(&bundles, job), (Some(b"second".to_vec()), 0));
    }

    #[test]
    fn a_sweep_keeps_only_the_bundles_of_the_given_jobs() {
        let (folder, bundles, job) = folder();
        let other = JobId::generate();
        for each in [job, other] {
            bundles.write(each, 7, b"first").expect("written");
            bundles.write(each, 7, b"second").expect("written");
        }
        fs::write(folder.path().join("bundles/other"), b"").expect("written");
        assert_eq!(bundles.sweep(&HashSet::from([job])).expect("swept"), 3);
        assert_eq!(read(&bundles, other), (None, 0));
        assert!(read(&bundles, job).0.is_some());
        bundles.remove(job);
        assert_eq!(read(&bundles, job), (None, 0));
    }
}
