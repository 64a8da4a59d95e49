//! `digits-inference`: reads the configuration and serves until a signal, or checks a running
//! service.

use digits_inference::{
    app::App,
    config::{CommandLine, Config, Task},
    metrics,
};
use digits_service::{Error, args, health_check};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let CommandLine { task, config } = match args::parse() {
        Ok(line) => line,
        Err(code) => return code,
    };
    match task {
        Some(Task::Health { admin_listen }) => health_check::run(admin_listen),
        None => digits_service::run(config.service.log_format, |stop| serve(config, stop)),
    }
}

async fn serve(config: Config, shutdown: CancellationToken) -> Result<ExitCode, Error> {
    let recorder = metrics::install()?;
    let app = App::bind(config, recorder).await?;
    app.announce()?;
    app.run(shutdown).await?;
    Ok(ExitCode::SUCCESS)
}
