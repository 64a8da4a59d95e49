//! `digits completions` and `digits man`: completions for shells, and man pages, from the definition
//! of the command line.

use crate::{
    args::{Arguments, Completions, Man},
    context::Context,
};
use clap::CommandFactory as _;
use digits_cli::Error;
use serde_json::json;
use std::{fs, io::Write as _};

/// Runs `digits completions`.
pub fn completions(args: &Completions) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "digits", &mut script);
    let mut out = std::io::stdout().lock();
    out.write_all(&script)?;
    out.flush()?;
    Ok(())
}

/// Runs `digits man`.
pub fn man(args: &Man, context: &Context) -> Result<(), Error> {
    let folder = &args.folder;
    let failed = |source| Error::Write {
        path: folder.clone(),
        source,
    };
    fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Arguments::command(), folder).map_err(failed)?;
    let shown = folder.display();
    context.show(
        || json!({ "folder": shown.to_string() }),
        || {
            vec![format!(
                "wrote man pages to {shown}: try `man {shown}/digits.1`"
            )]
        },
    )
}
