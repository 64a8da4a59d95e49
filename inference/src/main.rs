//! `digits-inference`: read the configuration, bind, announce the addresses, serve, drain.

use digits_inference::app::{App, AppError};
use digits_inference::config::{CommandLine, Config, Task};
use digits_server::{exit, probe::ask_ready, shutdown, startup};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let CommandLine { task, config } = match startup::parse() {
        Ok(line) => line,
        Err(code) => return code,
    };
    if let Some(Task::Health { admin_listen }) = task {
        return ask_ready(admin_listen)
            .map_or_else(|e| startup::fail(e, exit::FAILED), |()| ExitCode::SUCCESS);
    }
    match config
        .check()
        .map_err(AppError::Config)
        .and_then(|()| startup::run(serve(config)).map_err(AppError::Thread)?)
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => startup::fail(error.line(), error.exit_code()),
    }
}

async fn serve(config: Config) -> Result<(), AppError> {
    let recorder = config.init_telemetry()?;
    let (app, addresses) = App::bind(config, recorder).await?;
    app.announce(addresses)?;
    let stop = CancellationToken::new();
    let signalled = stop.clone();
    tokio::spawn(async move {
        let signal = shutdown::signal().await;
        tracing::info!(signal, "shutting down");
        signalled.cancel();
    });
    app.run(stop).await.map(drop)
}
