//! Shared by all commands: the services, and how results and hints are printed.
//!
//! Results go to standard output, everything else to standard error.

use crate::{args::Global, credentials};
use digits_cli::{
    Error,
    endpoints::Endpoints,
    error_report,
    render::{Style, Table},
};
use digits_client::{InferenceClient, TrainerClient};
use serde_json::Value;
use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

/// Settings shared by all commands.
pub struct Context {
    /// URLs of the services, and how they are called.
    pub endpoints: Endpoints,
    /// Capabilities of standard output.
    pub style: Style,
    /// Whether results are JSON.
    pub json: bool,
}

impl Context {
    /// Settings from the global flags, without credentials; see [`Self::load`].
    pub fn new(global: &Global) -> Self {
        Self {
            endpoints: Endpoints {
                trainer: global.trainer.clone(),
                inference: global.inference.clone(),
                timeout: Duration::from_secs_f64(global.timeout.clamp(0.001, 86_400.0)),
                ..Endpoints::default()
            },
            style: Style::detect(global.no_color),
            json: global.json,
        }
    }

    /// Reads the files with credentials that the global flags name.
    pub fn load(&mut self, global: &Global) -> Result<(), Error> {
        self.endpoints.credentials = credentials::load(global)?;
        Ok(())
    }

    /// A client of the trainer.
    pub fn trainer(&self) -> Result<TrainerClient, Error> {
        Ok(self.endpoints.trainer()?)
    }

    /// A client of the inference service.
    pub fn inference(&self) -> Result<InferenceClient, Error> {
        Ok(self.endpoints.inference()?)
    }

    /// Prints a result: as a JSON document on one line if `--json` was given, else as lines.
    pub fn show(
        &self,
        document: impl FnOnce() -> Value,
        lines: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Error> {
        match self.json {
            true => self.document(&document()),
            false => self.print(lines()),
        }
    }

    /// Prints lines.
    pub fn print<T: AsRef<str>>(&self, lines: impl IntoIterator<Item = T>) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        for line in lines {
            writeln!(out, "{}", line.as_ref())?;
        }
        out.flush()?;
        Ok(())
    }

    /// Prints a JSON document on one line.
    pub fn document(&self, value: &Value) -> Result<(), Error> {
        self.print([value.to_string()])
    }

    /// Columns of a table or of fields: unlimited if standard output is no terminal, so that each
    /// row is one line and nothing is shortened.
    pub fn width(&self) -> usize {
        if io::stdout().is_terminal() {
            self.style.width
        } else {
            usize::MAX
        }
    }

    /// The lines of a table.
    pub fn table(&self, table: &Table) -> Vec<String> {
        table.lines(&Style {
            width: self.width(),
            ..self.style
        })
    }

    /// Prints a hint on standard error, which may be closed.
    pub fn hint(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Prints a hint that the serving records could not be read, without which lists have no marks.
    pub fn unknown_serving<T>(&self, error: &Error) -> Option<T> {
        let reasons = error_report::lines(error, &self.endpoints).join("; ");
        self.hint(&format!("what serves is unknown: {reasons}"));
        None
    }

    /// Prints an error on standard error.
    pub fn report(&self, error: &Error) {
        if matches!(error, Error::Interrupted) {
            return;
        }
        for (index, line) in error_report::lines(error, &self.endpoints)
            .iter()
            .enumerate()
        {
            let prefix = if index == 0 { "digits: " } else { "" };
            self.hint(&format!("{prefix}{line}"));
        }
    }
}
