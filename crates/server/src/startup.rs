//! The first and last things of a process: reading its flags, saying in one line what is wrong, logging
//! its ports. What the flags are is each service's own.

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::exit;

/// Reads flags and environment.
///
/// # Errors
/// The code to exit with: 0 after `--help` and `--version`, else [`exit::USAGE`] with one line on standard
/// error.
pub fn parse<T: Parser>() -> Result<T, ExitCode> {
    parse_from(env::args_os())
}

/// As [`parse`], from other arguments than the process's; the first is the program's name.
///
/// # Errors
/// As [`parse`].
pub fn parse_from<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, ExitCode> {
    T::try_parse_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`--help | head`) is not worth a word.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => refuse(one_line(&error.to_string())),
    })
}

/// Says in one line on standard error what is wrong with the configuration.
#[must_use]
pub fn refuse(reason: impl Display) -> ExitCode {
    fail(reason, exit::USAGE)
}

/// Says in one line on standard error why the process ends, and makes its exit code of `code`.
#[must_use]
pub fn fail(reason: impl Display, code: u8) -> ExitCode {
    let reason = reason.to_string();
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    // Nowhere to tell it when standard error is closed.
    let _ = writeln!(io::stderr(), "error: {line}");
    ExitCode::from(code)
}

/// clap's first paragraph, without its `error: `; usage and hints follow after an empty line.
fn one_line(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let paragraph = paragraph.strip_prefix("error: ").unwrap_or(paragraph);
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs a service to its end. What then still waits for a file or a socket, as on a storage that hangs, holds the process no
/// longer.
///
/// # Errors
/// When the system gives no thread, before `service` began.
pub fn run<T>(service: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(service);
    runtime.shutdown_background();
    Ok(ended)
}

/// Writes `{"grpc":"…","admin":"…"}` to `path`, once both ports are bound. A reader sees the whole file or
/// none. Blocks for the write.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_ready_file(path: &Path, grpc: SocketAddr, admin: SocketAddr) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = PathBuf::from(partial);
    // Addresses hold nothing that JSON escapes.
    fs::write(
        &partial,
        format!("{{\"grpc\":\"{grpc}\",\"admin\":\"{admin}\"}}\n"),
    )?;
    fs::rename(&partial, path).inspect_err(|_| {
        let _ = fs::remove_file(&partial);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[arg(long)]
        listen: SocketAddr,
    }

    #[test]
    fn a_bad_flag_becomes_one_line_that_names_it() {
        let cases: [(&[&str], &str); 3] = [
            (
                &["x", "--listen", "here"],
                "invalid value 'here' for '--listen <LISTEN>'",
            ),
            (
                &["x"],
                "the following required arguments were not provided: --listen <LISTEN>",
            ),
            (&["x", "--nope"], "unexpected argument '--nope' found"),
        ];
        for (arguments, expected) in cases {
            let error = Flags::try_parse_from(arguments).expect_err("refused");
            let line = one_line(&error.to_string());
            assert!(line.starts_with(expected), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
        assert_eq!(
            Flags::try_parse_from(["x", "--listen", "[::1]:1"])
                .expect("fine")
                .listen
                .port(),
            1
        );
    }

    #[test]
    fn the_ready_file_is_whole_and_replaces_an_old_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ready.json");
        fs::write(&path, "old").expect("written");
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        write_ready_file(&path, address(1), address(2)).expect("written");
        assert_eq!(
            fs::read_to_string(&path).expect("read"),
            "{\"grpc\":\"127.0.0.1:1\",\"admin\":\"127.0.0.1:2\"}\n"
        );
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
        let nowhere = folder.path().join("no/ready.json");
        assert!(write_ready_file(&nowhere, address(1), address(2)).is_err());
    }
}
