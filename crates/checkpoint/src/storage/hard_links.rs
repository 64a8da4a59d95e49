//! Finds out whether a folder is on a file system without hard links, on which create-if-absent
//! fails: SMB, FAT, gcsfuse, blobfuse and others.

use std::{fs, io, path::Path};
use uuid::Uuid;

/// The error of link(2) if files can be created in the folder and not linked; `None` if links work,
/// or if something else is wrong. Blocks.
pub(super) fn unsupported(folder: &Path) -> Option<io::Error> {
    // The store hides names that end in `#` and a number.
    let file = folder.join(format!("link-{}#1", Uuid::now_v7()));
    let link = file.with_extension("link#1");
    fs::write(&file, b"").ok()?;
    let linked = fs::hard_link(&file, &link);
    let _ = fs::remove_file(&link);
    let _ = fs::remove_file(&file);
    linked.err().filter(|error| !is_of_the_moment(error))
}

/// Whether the error can occur on a file system that has hard links.
fn is_of_the_moment(error: &io::Error) -> bool {
    use io::ErrorKind::{
        Interrupted, NotFound, QuotaExceeded, ReadOnlyFilesystem, StaleNetworkFileHandle,
        StorageFull, TimedOut,
    };
    const EIO: i32 = 5;
    error.raw_os_error() == Some(EIO)
        || matches!(
            error.kind(),
            Interrupted
                | NotFound
                | QuotaExceeded
                | ReadOnlyFilesystem
                | StaleNetworkFileHandle
                | StorageFull
                | TimedOut
        )
}
