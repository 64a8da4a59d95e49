//! Runs the main future of a process: logs, runtime, and its result as exit code.

use std::env;
use std::io::{self, Write as _};
use std::process::ExitCode;

use digits_telemetry::logs::{self, Format};

use crate::error::Error;
use crate::{heap, open_files};

/// Number of the runtime's threads.
const THREADS: &str = "TOKIO_WORKER_THREADS";

/// Sets up logs, runs `main` on a runtime until it returns, and returns the exit code.
///
/// An error is printed as one line on standard error. Threads that still wait for a file or a
/// socket then, such as on a storage that hangs, do not hold the process.
pub fn run(log_format: Format, main: impl Future<Output = Result<ExitCode, Error>>) -> ExitCode {
    let result = logs::init(log_format, "info").map_err(Error::from);
    open_files::raise_limit();
    heap::start();
    let result = result.and_then(|()| check_threads(env::var(THREADS).ok().as_deref()));
    let result = result.and_then(|()| block_on(main));
    result.unwrap_or_else(|error| fail(&error))
}

/// The runtime panics on another value.
fn check_threads(value: Option<&str>) -> Result<(), Error> {
    match value {
        Some(value) if !value.parse::<usize>().is_ok_and(|count| count > 0) => Err(Error::Config(
            format!("{THREADS} takes a whole number, at least 1, not {value:?}"),
        )),
        _ => Ok(()),
    }
}

/// Threads for calls that block, such as reads of files. The runtime keeps as many as its busiest
/// moment took, each with an arena of the allocator, so this is less than its 512.
const MAX_BLOCKING_THREADS: usize = 64;

fn block_on(main: impl Future<Output = Result<ExitCode, Error>>) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .build()
        .map_err(Error::Thread)?;
    let result = runtime.block_on(main);
    runtime.shutdown_background();
    result
}

/// Prints an error and its causes as one line on standard error; returns its exit code.
#[must_use]
pub fn fail(error: &Error) -> ExitCode {
    print_failure(&error.line(), error.exit_code())
}

/// Prints why a process fails as one line on standard error; returns `code`.
#[must_use]
pub fn print_failure(reason: &str, code: u8) -> ExitCode {
    let words: Vec<_> = reason.split_whitespace().collect();
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "error: {}", words.join(" "));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_is_checked() {
        for value in [None, Some("1"), Some("16")] {
            assert!(check_threads(value).is_ok(), "{value:?}");
        }
        for value in ["", "0", "four", "-1", "4 "] {
            let error = check_threads(Some(value)).expect_err(value).line();
            assert!(error.starts_with("TOKIO_WORKER_THREADS takes"), "{error}");
        }
    }
}
