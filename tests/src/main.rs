//! `make demo`: both services on MNIST, end to end. `KEEP=1` or `--keep` leaves them running.

use clap::Parser;
use std::process::ExitCode;

/// Runs both services on MNIST, end to end, and prints the results: trains while digits are
/// classified, sends the test set through the service, and checks every figure.
///
/// The binaries of the services must be in the folder of this program.
#[derive(Parser)]
#[command(name = "digits-demo", version)]
struct Arguments {
    /// Leave both services running at the end, as KEEP=1 in the environment does.
    #[arg(long)]
    keep: bool,
}

/// Exit code of wrong usage (sysexits.h); clap's own is 2.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe while printing help is not an error.
            let _ = error.print();
            let wrong = error.use_stderr();
            return ExitCode::from(if wrong { USAGE } else { 0 });
        }
    };
    match digits_environment::tidy().map_err(anyhow::Error::from) {
        Ok(()) => run(arguments.keep),
        Err(error) => failed(&error),
    }
}

#[tokio::main]
async fn run(keep: bool) -> ExitCode {
    let set = std::env::var("KEEP").is_ok_and(|value| !matches!(value.trim(), "" | "0"));
    match digits_e2e::demo::run(keep || set).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("\nthe demo failed: {error:#}");
    ExitCode::FAILURE
}
