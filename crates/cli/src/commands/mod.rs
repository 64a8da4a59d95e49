//! One module for each command, or for a few that belong together.

pub mod catalog;
pub mod checkpoints;
pub mod dataset;
pub mod doctor;
pub mod evaluate;
pub mod export;
pub mod import;
pub mod jobs;
pub mod model;
pub mod plot;
pub mod predict;
pub mod report;
pub mod reproduce;
pub mod serving;
mod spec;
pub mod train;
pub mod watch;

use digits_cli::{Error, Service};

/// The content of an answer that our services always fill.
fn filled<T>(content: Option<T>, service: Service, name: &str) -> Result<T, Error> {
    content.ok_or_else(|| Error::Answer {
        service,
        reason: format!("no {name} in it"),
    })
}

/// Lines of `name  value`, names padded to one width; lines without a value are left out.
fn fields(pairs: &[(&str, String)]) -> Vec<String> {
    let filled = || pairs.iter().filter(|(_, value)| !value.is_empty());
    let width = filled()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    filled()
        .map(|(name, value)| format!("{name:<width$}  {value}"))
        .collect()
}
