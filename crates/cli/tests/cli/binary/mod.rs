//! The binary `digits` against services in this process: output, JSON and exit codes.

mod checkpoints;
mod inference;
mod jobs;
mod sweeps;

use digits_testing::services::{self, Trainer};
use serde_json::Value;
use std::{process::Output, sync::Arc};
use tempfile::TempDir;

struct Fixture {
    url: String,
    dir: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let url = services::start(Arc::new(Trainer::default())).await;
        Self {
            url,
            dir: tempfile::tempdir().expect("a folder"),
        }
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.run_at(&self.url, arguments).await
    }

    async fn run_at(&self, url: &str, arguments: &[&str]) -> Output {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_digits"))
            .args(arguments)
            .env("DIGITS_TRAINER", url)
            .env("DIGITS_INFERENCE", url)
            .env("LC_ALL", "C")
            .current_dir(self.dir.path())
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .expect("the binary starts")
    }

    async fn documents(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(arguments).await;
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            err(&output)
        );
        out(&output)
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    async fn check_error(&self, arguments: &[&str], code: i32, lines: &[&str]) {
        let output = self.run(arguments).await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            err(&output)
        );
        assert_eq!(
            err(&output).lines().collect::<Vec<_>>(),
            lines,
            "{arguments:?}"
        );
    }
}

#[tokio::test]
async fn white_space_around_a_variable_is_ignored_and_an_empty_one_is_unset() {
    let fixture = Fixture::new().await;
    let output = |variables: &[(&str, &str)]| {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_digits"))
            .args(["jobs", "--json"])
            .env("DIGITS_TRAINER", format!(" {}\r\n", fixture.url))
            .envs(variables.iter().copied())
            .output()
    };
    let unset = [
        ("DIGITS_CLIENT_TOKEN_FILE", ""),
        ("DIGITS_TLS_CA_FILE", "\n"),
    ];
    let listed = output(&unset).await.expect("the binary starts");
    assert_eq!(listed.status.code(), Some(0), "{}", err(&listed));
    let broken = output(&[("DIGITS_STORAGE", "/a\n/b")]).await;
    let broken = broken.expect("the binary starts");
    assert_eq!(broken.status.code(), Some(64), "{}", err(&broken));
    assert!(err(&broken).starts_with("digits: DIGITS_STORAGE has a line break"));
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
