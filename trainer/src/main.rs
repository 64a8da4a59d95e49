//! `digits-trainer-engine`: read the configuration, bind, announce the addresses, serve, drain. Started by
//! `digits-trainer`, which first looks whether libtorch is there.

use digits_server::{shutdown, startup};
use digits_telemetry::logs;
use digits_trainer::{
    app::{App, exit_code},
    config::Config,
    metrics,
};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let config = match startup::parse() {
        Ok(config) => config,
        Err(code) => return code,
    };
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => startup::fail(format!("{error:#}"), exit_code(&error)),
    }
}

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    logs::init(config.log_format, "info")?;
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        let signal = shutdown::signal().await;
        tracing::info!(signal, "shutting down");
        stopper.cancel();
    });
    let (app, addresses) = App::bind(config, metrics::install()?).await?;
    app.announce(addresses)?;
    app.run(stop).await
}
