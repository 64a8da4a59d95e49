//! Disk space reserved for the job database. It is freed when the disk is full and a job ends or is
//! cancelled, so that this can still be recorded.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

/// Room for hundreds of small transactions.
const BYTES: usize = 1 << 20;

/// The reserved space, until it is released; the next start takes it again.
pub(super) struct Reserve(Option<PathBuf>);

impl Reserve {
    /// Reserves the space, where the disk has it.
    pub(super) fn take(folder: &Path) -> Self {
        let path = folder.join("reserve");
        let there = fs::metadata(&path).is_ok_and(|found| found.len() == BYTES as u64);
        match if there { Ok(()) } else { fill(&path) } {
            Ok(()) => Self(Some(path)),
            Err(error) => {
                tracing::warn!(%error, "no disk space could be reserved for the job database");
                // Free what was written of it.
                let _ = fs::remove_file(&path);
                Self(None)
            }
        }
    }

    /// Frees the space.
    pub(super) fn release(&mut self) {
        if let Some(path) = self.0.take() {
            match fs::remove_file(&path) {
                Ok(()) => {
                    tracing::warn!(
                        "the disk with the job database is full: freed the reserved space"
                    )
                }
                Err(error) => tracing::error!(%error, "the reserved space cannot be freed"),
            }
        }
    }
}

/// Writes zeros, because a hole reserves no space.
fn fill(path: &Path) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&vec![0; BYTES])?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_reserved_until_it_is_released() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("reserve");
        fs::write(&path, b"a part").expect("written");
        let mut reserve = Reserve::take(folder.path());
        assert_eq!(fs::metadata(&path).expect("there").len(), BYTES as u64);
        reserve.release();
        reserve.release();
        assert!(!path.exists());
    }
}
