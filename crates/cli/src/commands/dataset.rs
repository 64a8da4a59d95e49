//! `digits dataset`: pushing data sets to the storage, listing them, showing what is in them.

pub mod list;
mod push;
mod show;

use crate::{args::Dataset, context::Context};
use digits_cli::Error;
use prost_types::Timestamp;

/// Runs a command.
pub async fn run(args: Dataset, context: &Context) -> Result<(), Error> {
    match args {
        Dataset::Push(args) => push::run(args, context).await,
        Dataset::List(args) => list::run(args, context).await,
        Dataset::Show(args) => show::run(args, context).await,
    }
}

fn timestamp(at: jiff::Timestamp) -> Timestamp {
    Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

/// The first digits of a digest: enough for people, and for `NAME@DIGEST`.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
