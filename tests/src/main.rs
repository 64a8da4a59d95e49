//! `make demo`: both services on MNIST, end to end. `KEEP=1` leaves them running.

use std::process::ExitCode;

fn main() -> ExitCode {
    match digits_environment::tidy().map_err(anyhow::Error::from) {
        Ok(()) => run(),
        Err(error) => failed(&error),
    }
}

#[tokio::main]
async fn run() -> ExitCode {
    let keep = std::env::var("KEEP").is_ok_and(|value| !matches!(value.trim(), "" | "0"));
    match digits_e2e::demo::run(keep).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("\nthe demo failed: {error:#}");
    ExitCode::FAILURE
}
