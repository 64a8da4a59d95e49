//! The rows of the table that `make torture` prints.

use anyhow::{Context as _, Result};
use std::{fs::File, io::Write as _};

/// Prints what was done in a trial and what was lost; appends a row to the file that
/// `DIGITS_TORTURE_TABLE` names. The columns of the polite client are empty.
pub fn row(trial: &str, done: &str, lost: &str) -> Result<()> {
    let row = format!("| {trial} | {done} | {lost} | | | | |\n");
    print!("{row}");
    let Some(path) = std::env::var_os("DIGITS_TORTURE_TABLE") else {
        return Ok(());
    };
    let file = File::options().append(true).open(&path);
    let mut file = file.with_context(|| format!("open {}", path.display()))?;
    Ok(file.write_all(row.as_bytes())?)
}
