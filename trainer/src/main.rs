//! `digits-trainer-engine`: read the configuration, bind, announce the addresses, serve, drain; or, as `run`, one
//! job; or, as `health`, a question to a running service. Started by `digits-trainer`, which first looks whether libtorch is there.

use digits_server::{exit, probe::ask_ready, shutdown, startup};
use digits_telemetry::logs;
use digits_trainer::{
    app::{App, exit_code},
    config::{Config, HealthConfig},
    metrics, proto_json,
    run::{self, RunConfig},
};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    let task = arguments.next();
    let result =
        match task.as_deref().and_then(|task| task.to_str()) {
            Some("run") => startup::parse_from(name.into_iter().chain(arguments))
                .map(|config| startup::run(run_one(config))?),
            Some("health") => startup::parse_from(name.into_iter().chain(arguments))
                .map(|config| Ok(health(&config))),
            _ => startup::parse()
                .map(|config| startup::run(serve(config))?.map(|()| ExitCode::SUCCESS)),
        };
    match result {
        Ok(Ok(code)) | Err(code) => code,
        Ok(Err(error)) => startup::fail(format!("{error:#}"), exit_code(&error)),
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    logs::init(config.log_format, "info")?;
    let (app, addresses) = App::bind(config, metrics::install()?).await?;
    app.announce(addresses)?;
    app.run(stopped_by_signals()).await
}

async fn run_one(config: RunConfig) -> anyhow::Result<ExitCode> {
    logs::init(config.log_format, "info")?;
    let job = run::run(&config, stopped_by_signals()).await?;
    if config.json {
        println!("{}", proto_json::write("digits.v1.Job", &job)?);
    }
    Ok(match run::exit_code(&job) {
        0 => ExitCode::SUCCESS,
        code => startup::fail(run::reason(&job), code),
    })
}

fn health(config: &HealthConfig) -> ExitCode {
    match ask_ready(config.admin_listen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => startup::fail(reason, exit::FAILED),
    }
}

fn stopped_by_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        let signal = shutdown::signal().await;
        tracing::info!(signal, "shutting down");
        stopper.cancel();
    });
    stop
}
