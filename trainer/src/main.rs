//! `digits-trainer-engine`: serves until a signal, runs one job (`run`), trains one attempt for a
//! running service (`work`), checks one (`health`), or writes its man pages (`man`).
//! `digits-trainer` starts it once it has checked the shared libraries.

use clap::CommandFactory as _;
use digits_service::{
    Error, args, exit, health_check,
    man::{self, ManConfig},
    print_failure,
};
use digits_trainer::{
    app::App,
    config::{Config, HealthConfig},
    grpc, metrics,
    run::{self, RunConfig},
    work::{self, WorkConfig},
};
use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let (program, subcommand) = (arguments.next(), arguments.next());
    let arguments = program.into_iter().chain(arguments);
    let code = match subcommand.as_ref().and_then(|it| it.to_str()) {
        Some("run") => args::parse_from(arguments)
            .map(|config: RunConfig| digits_service::run(config.log_format, run_one(config))),
        Some("work") => args::parse_from(arguments)
            .map(|config: WorkConfig| digits_service::run(config.log_format, train_one(config))),
        Some("health") => args::parse_from(arguments)
            .map(|config: HealthConfig| health_check::run(config.admin_listen)),
        Some("man") => {
            args::parse_from(arguments).map(|config: ManConfig| man::run(command(), &config.folder))
        }
        Some(word) if !word.starts_with('-') => Err(unknown_command(word)),
        _ => args::parse()
            .map(|config: Config| digits_service::run(config.service.log_format, serve(config))),
    };
    code.unwrap_or_else(|code| code)
}

/// The command line with its commands, each of which has a parser of its own.
fn command() -> clap::Command {
    Config::command().subcommands([
        RunConfig::command().name("run"),
        WorkConfig::command().name("work"),
        HealthConfig::command().name("health"),
        ManConfig::command().name("man"),
    ])
}

/// Reports a word in the place of a command; returns the exit code of wrong usage.
fn unknown_command(word: &str) -> ExitCode {
    let reason = format!(
        "there is no command {word:?}: use run, work, health, man, or flags alone to serve (see --help)"
    );
    print_failure(&reason, exit::USAGE)
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

async fn run_one(config: RunConfig) -> Result<ExitCode, Error> {
    let stop = digits_service::shutdown_token();
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

async fn train_one(config: WorkConfig) -> Result<ExitCode, Error> {
    work::work(config, digits_service::shutdown_token()).await
}
