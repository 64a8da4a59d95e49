//! What every command needs: where the services are, what the terminal shows, how output is written.
//!
//! Results go to standard output, everything else to standard error.

use crate::args::Global;
use digits_cli::{
    Error,
    client::Endpoints,
    credentials::CredentialFiles,
    render::{Style, Table},
};
use serde_json::Value;
use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

/// Settings shared by all commands.
pub struct Context {
    /// Where the services are.
    pub endpoints: Endpoints,
    /// What standard output shows.
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
    pub fn load(&mut self, global: Global) -> Result<(), Error> {
        let files = CredentialFiles {
            ca: global.tls_ca_file,
            certificate: global.tls_client_certificate_file,
            key: global.tls_client_key_file,
            token: global.token_file,
        };
        self.endpoints.credentials = files.load()?;
        Ok(())
    }

    /// Prints lines for people.
    pub fn print<T: AsRef<str>>(&self, lines: impl IntoIterator<Item = T>) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        for line in lines {
            writeln!(out, "{}", line.as_ref())?;
        }
        out.flush()?;
        Ok(())
    }

    /// Prints a table; as wide as it likes where no terminal is, so that each row stays one line.
    pub fn table(&self, table: &Table) -> Result<(), Error> {
        let width = if io::stdout().is_terminal() {
            self.style.width
        } else {
            usize::MAX
        };
        self.print(table.lines(&Style {
            width,
            ..self.style
        }))
    }

    /// Prints one JSON document on one line.
    pub fn document(&self, value: &Value) -> Result<(), Error> {
        self.print([value.to_string()])
    }

    /// Prints hints on standard error, where nobody may be reading.
    pub fn hint(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Prints an error on standard error.
    pub fn complain(&self, error: &Error) {
        if matches!(error, Error::Interrupted) {
            return;
        }
        for (index, line) in error.report(&self.endpoints).iter().enumerate() {
            self.hint(&if index == 0 {
                format!("digits: {line}")
            } else {
                line.clone()
            });
        }
    }
}
