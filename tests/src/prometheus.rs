//! Debian's `prometheus` and `promtool`, which the tests of `deploy/` drive.

use crate::mnist::skip;
use std::{env, path::PathBuf};

/// Where one of the programs is: in `DIGITS_PROMETHEUS_DIR`, else on the `PATH`. Where it is not, the caller's test
/// is skipped as [`skip`] does it.
///
/// # Panics
/// With `DIGITS_FORBID_SKIP=1`.
#[must_use]
pub fn program(name: &str, test: &str) -> Option<PathBuf> {
    let named = env::var_os("DIGITS_PROMETHEUS_DIR").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = named
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file());
    if found.is_none() {
        let missing = format!(
            "{name} is missing: `make test-pair` fetches it, or DIGITS_PROMETHEUS_DIR names its folder"
        );
        skip(test, &missing);
    }
    found
}
