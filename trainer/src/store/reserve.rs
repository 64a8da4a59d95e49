//! A little room on the disk of the database, given up when the disk is full: jobs that fail for it can still be
//! written down as failed.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

/// Room for hundreds of small transactions.
const BYTES: usize = 1 << 20;

/// The room, until it is given up; the next start takes it again.
pub(super) struct Reserve(Option<PathBuf>);

impl Reserve {
    /// Takes it, where there is room.
    pub(super) fn take(folder: &Path) -> Self {
        let path = folder.join("reserve");
        let there = fs::metadata(&path).is_ok_and(|found| found.len() == BYTES as u64);
        match if there { Ok(()) } else { fill(&path) } {
            Ok(()) => Self(Some(path)),
            Err(error) => {
                tracing::warn!(%error, "no room could be reserved beside the job database");
                // A part of it is in the way of everything else.
                let _ = fs::remove_file(&path);
                Self(None)
            }
        }
    }

    /// Gives it up.
    pub(super) fn give_up(&mut self) {
        if let Some(path) = self.0.take() {
            match fs::remove_file(&path) {
                Ok(()) => {
                    tracing::warn!("the disk of the job database is full: its reserve is given up")
                }
                Err(error) => tracing::error!(%error, "the reserve cannot be given up"),
            }
        }
    }
}

/// Zeros that are written, not a hole.
fn fill(path: &Path) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&vec![0; BYTES])?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_until_it_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("reserve");
        fs::write(&path, b"a part").expect("written");
        let mut reserve = Reserve::take(folder.path());
        assert_eq!(fs::metadata(&path).expect("there").len(), BYTES as u64);
        reserve.give_up();
        reserve.give_up();
        assert!(!path.exists());
    }
}
