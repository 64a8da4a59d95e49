//! Writes the man pages of a service, from the definition of its command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, Parser};

use crate::error::Error;
use crate::process::fail;

/// Writes the man pages of this program and its commands into a folder.
#[derive(Clone, Debug, Parser)]
pub struct ManConfig {
    /// Folder for the pages, such as ~/.local/share/man/man1; created if it is missing.
    pub folder: PathBuf,
}

/// Writes a page for `command` and for each of its commands into the folder, and prints how to read
/// the first; returns the exit code of the process.
#[must_use]
pub fn run(command: Command, folder: &Path) -> ExitCode {
    let page = folder.join(format!("{}.1", command.get_name()));
    let written =
        fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    match written {
        Ok(()) => {
            println!(
                "wrote man pages to {}: try `man {}`",
                folder.display(),
                page.display()
            );
            ExitCode::SUCCESS
        }
        Err(error) => fail(&Error::unavailable("man pages cannot be written")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().expect("a folder");
        let pages = folder.path().join("man1");
        let check = Command::new("health").about("Checks a running service.");
        let code = run(Command::new("example").subcommand(check), &pages);
        assert_eq!(code, ExitCode::SUCCESS);
        let page = fs::read_to_string(pages.join("example-health.1")).expect("a page");
        assert!(page.contains("Checks a running service."), "{page}");
        assert!(pages.join("example.1").exists());

        let taken = folder.path().join("file");
        fs::write(&taken, "").expect("written");
        assert_ne!(run(Command::new("example"), &taken), ExitCode::SUCCESS);
    }
}
