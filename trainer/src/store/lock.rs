//! Creates, checks and locks the state folder.

use super::error::StoreError;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::Path,
};

/// Magic numbers of file systems on which locks and WAL cannot be trusted, with their names:
/// statfs(2).
const NETWORK: [(u64, &str); 8] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x517b, "SMB"),
    (0x00c3_6400, "Ceph"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
];

/// Creates `folder` where it is missing and locks it; the lock ends with the returned file or with
/// the process.
pub(super) fn take(folder: &Path) -> Result<File, StoreError> {
    let refuse = |reason: String| StoreError::Folder {
        path: folder.display().to_string(),
        reason,
    };
    fs::create_dir_all(folder).map_err(|error| refuse(format!("cannot be created: {error}")))?;
    if let Some(name) = network_file_system(folder) {
        return Err(refuse(format!(
            "lies on {name}, where a database loses data: choose a folder on a local disk with --state"
        )));
    }
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(|error| refuse(format!("cannot be written: {error}")))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(refuse(
            "is used by another trainer: stop it, or choose another folder with --state".to_owned(),
        )),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Err(
            refuse("cannot be locked: choose a folder on a local disk with --state".to_owned()),
        ),
        Err(TryLockError::Error(error)) => Err(refuse(format!("cannot be locked: {error}"))),
    }
}

#[cfg(target_os = "linux")]
fn network_file_system(folder: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(folder).ok()?;
    name_of(found.f_type as u64)
}

#[cfg(not(target_os = "linux"))]
fn network_file_system(_: &Path) -> Option<&'static str> {
    None
}

fn name_of(magic: u64) -> Option<&'static str> {
    // Some platforms sign-extend a 32-bit number.
    let magic = magic & 0xffff_ffff;
    NETWORK
        .iter()
        .find(|(known, _)| *known == magic)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known() {
        assert_eq!(name_of(0x6969), Some("NFS"));
        assert_eq!(name_of(0xffff_ffff_ff53_4d42), Some("CIFS"));
        assert_eq!(name_of(0xef53), None, "ext4");
    }

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = take(folder.path()).expect("the first");
        let second = take(folder.path()).expect_err("the second");
        assert!(second.to_string().contains("another trainer"), "{second}");
        drop(first);
        take(folder.path()).expect("free again");
    }
}
