//! Runs programs with the Python package `digits-client`.

use anyhow::{Result, ensure};
use digits_testing::skip;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The Pythons of `DIGITS_CLIENT_PYTHON`, separated as in `PATH`, that have what the package's tests
/// need. Without the variable the test is skipped.
pub fn pythons(test: &str) -> Vec<PathBuf> {
    let named = env::var_os("DIGITS_CLIENT_PYTHON").unwrap_or_default();
    let pythons: Vec<PathBuf> = env::split_paths(&named)
        .filter(|python| python.is_file())
        .collect();
    if pythons.is_empty() || package().is_none() {
        skip(
            test,
            "the Python package is missing: `make test-pair` builds it, or DIGITS_CLIENT_PYTHON \
             and DIGITS_CLIENT_PACKAGE name a Python and the folder of the package",
        );
        return Vec::new();
    }
    pythons
}

/// The folder of the package.
fn package() -> Option<PathBuf> {
    let folder = env::var_os("DIGITS_CLIENT_PACKAGE").map(PathBuf::from)?;
    folder.join("digits_client").is_dir().then_some(folder)
}

/// A Python that finds the package, and of the command line's variables only what the caller sets.
pub fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    if let Some(package) = package() {
        command.env("PYTHONPATH", package);
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The package's tests for running services; `variables` has their addresses.
pub fn test(python: &Path, variables: &[(&str, &str)]) -> Result<()> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/client/python/tests/pair");
    let output = command(python)
        .args(["-m", "pytest", "-q"])
        .arg(tests)
        .envs(variables.iter().copied())
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && !printed.contains("skipped"),
        "{}: {printed}{}",
        python.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
