//! Logs to standard error, as text or JSON lines.

use std::env;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// Variables that hold a filter such as `info,digits_inference=debug`; the first that is set
/// counts.
const FILTER_VARIABLES: [&str; 2] = ["DIGITS_LOG", "RUST_LOG"];

/// Format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Plain text, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line, with UTC time.
    Json,
}

impl FromStr for Format {
    type Err = LogsError;

    fn from_str(text: &str) -> Result<Self, LogsError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(LogsError::Format(text.to_owned())),
        }
    }
}

/// Errors of setting up logs.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// Unknown format.
    #[error("log format must be text or json, not {0:?}")]
    Format(String),
    /// The filter of an environment variable does not parse.
    #[error("{variable} is not a log filter such as info,digits_inference=debug: {reason}")]
    Filter {
        /// The variable that holds it, or `the default filter`.
        variable: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The process has a logger already.
    #[error("logs were set up twice")]
    Twice,
}

/// Sends logs of this process to standard error.
///
/// The filter is the environment's `DIGITS_LOG`, else `RUST_LOG`, else `default_filter`.
///
/// # Errors
/// When a filter does not parse, or logs were set up before.
pub fn init(format: Format, default_filter: &str) -> Result<(), LogsError> {
    let filter = filter(default_filter, |name| env::var(name).ok())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // Else a line that cannot be written, as into a closed pipe, would panic.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|_| LogsError::Twice)
}

fn filter(
    default_filter: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<EnvFilter, LogsError> {
    let (variable, text) = FILTER_VARIABLES
        .into_iter()
        .find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)))
        .unwrap_or_else(|| ("the default filter", default_filter.to_owned()));
    EnvFilter::try_new(&text).map_err(|error| LogsError::Filter {
        variable,
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_is_the_filter() {
        let cases = [
            (None, None, "info"),
            (Some("warn"), Some("debug"), "warn"),
            (None, Some("debug"), "debug"),
            (Some(""), Some("debug"), "debug"),
        ];
        for (digits, rust, expected) in cases {
            let lookup =
                |name: &str| if name == "DIGITS_LOG" { digits } else { rust }.map(str::to_owned);
            let filter = filter("info", lookup).expect("parses");
            assert_eq!(filter.to_string(), expected);
        }
    }

    #[test]
    fn a_bad_filter_names_its_variable() {
        let error = filter("info", |_| Some("digits=loud=er".to_owned())).expect_err("bad");
        assert!(error.to_string().starts_with("DIGITS_LOG "), "{error}");
    }

    #[test]
    fn formats_are_two_words() {
        assert_eq!("json".parse::<Format>().expect("json"), Format::Json);
        assert_eq!("text".parse::<Format>().expect("text"), Format::Text);
        assert!("JSON".parse::<Format>().is_err());
    }
}
