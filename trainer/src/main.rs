//! `digits-trainer-engine`: serves until a signal, runs one job (`run`), or checks a running
//! service (`health`). `digits-trainer` starts it once it has checked the shared libraries.

use digits_service::{Error, args, health_check, print_failure};
use digits_trainer::{
    app::App,
    config::{Config, HealthConfig},
    grpc, metrics,
    run::{self, RunConfig},
};
use std::{env, process::ExitCode};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let (program, subcommand) = (arguments.next(), arguments.next());
    let arguments = program.into_iter().chain(arguments);
    let code = match subcommand.as_ref().and_then(|it| it.to_str()) {
        Some("run") => args::parse_from(arguments).map(|config: RunConfig| {
            digits_service::run(config.log_format, |stop| run_one(config, stop))
        }),
        Some("health") => args::parse_from(arguments)
            .map(|config: HealthConfig| health_check::run(config.admin_listen)),
        _ => args::parse().map(|config: Config| {
            digits_service::run(config.service.log_format, |stop| serve(config, stop))
        }),
    };
    code.unwrap_or_else(|code| code)
}

async fn serve(config: Config, shutdown: CancellationToken) -> Result<ExitCode, Error> {
    let recorder = metrics::install()?;
    let app = App::bind(config, recorder).await?;
    app.announce()?;
    app.run(shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

async fn run_one(config: RunConfig, stop: CancellationToken) -> Result<ExitCode, Error> {
    let job = run::run(&config, stop).await.map_err(run::error)?;
    if config.json {
        let json = grpc::job_json(&job);
        println!(
            "{}",
            json.map_err(Error::unavailable("cannot print the job"))?
        );
    }
    Ok(match run::exit_code(&job) {
        0 => ExitCode::SUCCESS,
        code => print_failure(&run::reason(&job), code),
    })
}
