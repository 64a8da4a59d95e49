//! `digits`: the command-line client of the trainer and the inference service.

mod args;
mod commands;
mod context;
mod credentials;
mod data_source;
mod did_you_mean;
mod image_source;
mod lookup;
mod served;

use args::{Arguments, Command, Key, Token};
use clap::Parser as _;
use context::Context;
use digits_cli::Error;
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// Exit code of wrong usage (sysexits.h); clap's own is 2.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    if let Err(error) = digits_environment::tidy() {
        // Standard error may be closed.
        let _ = writeln!(io::stderr(), "digits: {error}");
        return ExitCode::from(USAGE);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe while printing help is not an error.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let mut context = Context::new(&arguments.global);
    if let Err(error) = context.load(&arguments.global) {
        context.report(&error);
        return ExitCode::from(error.exit_code());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments.command, &context)),
        Err(error) => Err(Error::Output(error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has closed the pipe: `digits jobs | head`.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            context.report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(command: Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::Train(args) => commands::train::run(*args, context).await,
        Command::Sweep(args) => commands::sweep::run(*args, context).await,
        Command::Jobs(args) => commands::jobs::run(args, context).await,
        Command::Watch(args) => commands::watch::run(args, context).await,
        Command::Cancel(args) => commands::jobs::cancel(args, context).await,
        Command::Presets => commands::catalog::presets(context).await,
        Command::Dataset(args) => commands::dataset::run(args, context).await,
        Command::Datasets(args) => commands::dataset::list::run(args, context).await,
        Command::Predict(args) => commands::predict::run(args, context).await,
        Command::Evaluate(args) => commands::evaluate::run(args, context).await,
        Command::Model(args) => commands::model::run(args, context).await,
        Command::Checkpoints(args) => commands::checkpoints::run(args, context).await,
        Command::Report(args) => commands::report::run(args, context).await,
        Command::Import(args) => commands::import::run(*args, context).await,
        Command::Export(args) => commands::export::run(args, context).await,
        Command::Card(args) => commands::card::run(args, context).await,
        Command::Reproduce(args) => commands::reproduce::run(args, context).await,
        Command::Serving(args) => commands::serving::list(args, context).await,
        Command::Promote(args) => commands::serving::promote(args, context).await,
        Command::Drop(args) => commands::serving::drop_candidates(args, context).await,
        Command::Rollback(args) => commands::serving::rollback(args, context).await,
        Command::Release(args) => commands::serving::release(args, context).await,
        Command::Sign(args) => commands::signing::sign(args, context).await,
        Command::Key(Key::Create(args)) => commands::signing::create_key(&args, context),
        Command::Key(Key::Show(args)) => commands::signing::show_keys(&args, context),
        Command::Plot(args) => commands::plot::run(args, context).await,
        Command::Doctor(args) => commands::doctor::run(args, context).await,
        Command::Token(Token::Create(args)) => commands::token::create(&args, context),
        Command::Completions(args) => commands::shell::completions(&args),
        Command::Man(args) => commands::shell::man(&args, context),
    }
}
