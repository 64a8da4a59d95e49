//! The file with the bound addresses, for programs that start a service on free ports.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Writes `{"grpc":"…","admin":"…"}` to `path`. A reader sees the whole file or none. Blocks.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn write(path: &Path, grpc: SocketAddr, admin: SocketAddr) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = PathBuf::from(partial);
    // Addresses hold nothing that JSON escapes.
    let text = format!("{{\"grpc\":\"{grpc}\",\"admin\":\"{admin}\"}}\n");
    fs::write(&partial, text)?;
    fs::rename(&partial, path).inspect_err(|_| {
        let _ = fs::remove_file(&partial);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_file_is_whole_and_replaces_an_old_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ready.json");
        fs::write(&path, "old").expect("written");
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        write(&path, address(1), address(2)).expect("written");
        assert_eq!(
            fs::read_to_string(&path).expect("read"),
            "{\"grpc\":\"127.0.0.1:1\",\"admin\":\"127.0.0.1:2\"}\n"
        );
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
        let missing = folder.path().join("no/ready.json");
        assert!(write(&missing, address(1), address(2)).is_err());
    }
}
