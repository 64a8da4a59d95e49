//! Runs `digits` on a sandbox with its trainer and its storage, and finds a Python for a test.

use anyhow::{Context as _, Result, ensure};
use digits_e2e::sandbox::Sandbox;
use digits_testing::skip;
use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// Runs a command.
pub fn digits(sandbox: &Sandbox, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(sandbox.binary("digits"));
    command
        .args(arguments)
        .env("DIGITS_TRAINER", sandbox.trainer()?.grpc())
        .env("DIGITS_STORAGE", sandbox.storage());
    Ok(command.output()?)
}

/// The document that a command prints with `--json`, and its standard error; fails unless it exits
/// with `code`.
pub fn json(sandbox: &Sandbox, code: i32, arguments: &[&str]) -> Result<(Value, String)> {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let output = digits(sandbox, &arguments)?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = output.status;
    ensure!(
        status.code() == Some(code),
        "digits {arguments:?}: {status}\n{errors}"
    );
    let document = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{arguments:?}: {errors}"))?;
    Ok((document, errors))
}

/// A Python with these modules; without one the test is skipped.
pub fn python(test: &str, modules: &str) -> Option<PathBuf> {
    let python = std::env::var_os("DIGITS_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let found = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip(
        test,
        &format!("Python cannot import {modules}; set DIGITS_PYTHON"),
    );
    None
}
