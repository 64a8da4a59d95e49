//! A bucket of moto, for tests that are skipped where Python lacks it.

use anyhow::Result;
use digits_testing::{
    bucket::{Backend, Bucket},
    skip,
};
use std::{env, path::Path, process::Command};

/// Starts moto with an empty bucket, its log in `dir`. Where Python has no moto, `test` is skipped
/// as [`skip`] does it.
///
/// # Errors
/// When it does not come up.
///
/// # Panics
/// With `DIGITS_FORBID_SKIP=1` and without moto.
pub async fn bucket(dir: &Path, test: &str) -> Result<Option<Bucket>> {
    if !is_installed() {
        skip(
            test,
            "Python lacks what tests/python/requirements.txt names; set DIGITS_PYTHON",
        );
        return Ok(None);
    }
    Bucket::start(Backend::Moto, dir).await.map(Some)
}

fn is_installed() -> bool {
    let python = env::var_os("DIGITS_PYTHON").unwrap_or_else(|| "python3".into());
    let imported = Command::new(python)
        .args(["-c", "import moto.server, flask"])
        .output();
    imported.is_ok_and(|output| output.status.success())
}
