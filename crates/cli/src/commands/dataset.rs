//! `digits dataset`: pushing data sets to the storage, listing them, showing what is in them.

pub mod list;
mod message;
mod push;
mod show;

use crate::{args::Dataset, context::Context};
use digits_cli::Error;

/// Runs a command.
pub async fn run(args: Dataset, context: &Context) -> Result<(), Error> {
    match args {
        Dataset::Push(args) => push::run(args, context).await,
        Dataset::List(args) => list::run(args, context).await,
        Dataset::Show(args) => show::run(args, context).await,
    }
}
