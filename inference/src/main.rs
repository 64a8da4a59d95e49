//! `digits-inference`: reads the configuration and serves until a signal, checks a running service,
//! or writes its man pages.

use clap::CommandFactory as _;
use digits_inference::{
    app::App,
    config::{CommandLine, Config, Task},
    metrics,
};
use digits_service::{Error, args, health_check, man};
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// Every request allocates some thirty times; docs/serving.md compares allocators.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let CommandLine { task, config } = match args::parse() {
        Ok(line) => line,
        Err(code) => return code,
    };
    match task {
        Some(Task::Health { admin_listen }) => health_check::run(admin_listen),
        Some(Task::Man(man)) => man::run(CommandLine::command(), &man.folder),
        None => digits_service::run(config.service.log_format, serve(config)),
    }
}

async fn serve(config: Config) -> Result<ExitCode, Error> {
    let recorder = metrics::install()?;
    let app = App::bind(config, recorder).await?;
    // Until here a signal ends the process at once, also while the storage does not answer.
    let shutdown = digits_service::shutdown_token();
    app.announce()?;
    app.run(shutdown).await?;
    Ok(ExitCode::SUCCESS)
}
