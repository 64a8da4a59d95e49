//! Reads flags and environment variables; a wrong one becomes a single line on standard error.

use std::env;
use std::ffi::OsString;
use std::iter;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, Args, Command, Parser};

use crate::error::Error;
use crate::process::fail;

/// Reads flags and environment of this process, which must have no further thread yet. White space
/// around the value of a variable is ignored, and a variable without a value counts as unset.
///
/// # Errors
/// The exit code: 0 after `--help` and `--version`, else [`crate::exit::USAGE`] after one line on
/// standard error.
pub fn parse<T: Parser>() -> Result<T, ExitCode> {
    parse_from(env::args_os())
}

/// As [`parse`], from `arguments`, of which the first is the program's name.
///
/// # Errors
/// As [`parse`].
pub fn parse_from<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, ExitCode> {
    if let Err(error) = digits_environment::tidy() {
        return Err(fail(&Error::config(error)));
    }
    T::try_parse_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`--help | head`) is no failure.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => fail(&Error::Config(first_paragraph(&error))),
    })
}

/// Reads the environment variables of flags, and the defaults of those that are not set, without a
/// command line.
///
/// # Errors
/// [`Error::Config`] with the name of the variable whose value is wrong.
pub fn from_environment<T: Args>(program: &'static str) -> Result<T, Error> {
    let mut command = T::augment_args(Command::new(program).no_binary_name(true));
    let parsed = command
        .try_get_matches_from_mut(iter::empty::<OsString>())
        .and_then(|matches| T::from_arg_matches(&matches));
    parsed.map_err(|error| {
        let source = variable(&command, &error).unwrap_or_else(|| "environment".to_owned());
        Error::Config(format!("{source}: {}", first_paragraph(&error)))
    })
}

/// The environment variable of the flag that an error is about.
fn variable(command: &Command, error: &clap::Error) -> Option<String> {
    let flag = error.get(ContextKind::InvalidArg)?.to_string();
    let argument = command.get_arguments().find(|it| it.to_string() == flag);
    let variable = argument.and_then(Arg::get_env)?;
    Some(variable.display().to_string())
}

/// The first paragraph in one line, without `error: `; usage and hints follow after an empty line.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = paragraph.split_whitespace().collect();
    let line = words.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[arg(long)]
        listen: SocketAddr,
    }

    #[test]
    fn a_bad_flag_becomes_one_line_that_names_it() {
        let cases: [(&[&str], &str); 3] = [
            (
                &["x", "--listen", "here"],
                "invalid value 'here' for '--listen <LISTEN>'",
            ),
            (
                &["x"],
                "the following required arguments were not provided: --listen <LISTEN>",
            ),
            (&["x", "--nope"], "unexpected argument '--nope' found"),
        ];
        for (arguments, expected) in cases {
            let error = Flags::try_parse_from(arguments).expect_err("refused");
            let line = first_paragraph(&error);
            assert!(line.starts_with(expected), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
        let flags = Flags::try_parse_from(["x", "--listen", "[::1]:1"]).expect("valid");
        assert_eq!(flags.listen.port(), 1);
    }
}
