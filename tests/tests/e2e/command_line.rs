//! Every binary explains itself, and no message of the command line uses names of the gRPC API.

use anyhow::{Result, ensure};
use digits_e2e::sandbox::Sandbox;
use digits_testing::patience;
use std::process::{Command, Output};

#[test]
fn every_binary_explains_itself() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let run = |line: &str, flag: &str| -> Result<String> {
        let mut words = line.split_whitespace();
        let program = sandbox.binary(words.next().unwrap_or_default());
        let output = Command::new(program).args(words).arg(flag).output()?;
        ensure!(output.status.success(), "{line} {flag}: {output:?}");
        Ok(String::from_utf8(output.stdout)?)
    };
    for line in [
        "digits",
        "digits-trainer",
        "digits-trainer run",
        "digits-trainer health",
        "digits-trainer-engine",
        "digits-inference",
        "digits-inference health",
        "digits-demo",
    ] {
        let help = run(line, "--help")?;
        ensure!(help.contains("Usage:"), "{line}: {help}");
        ensure!(help.contains("--help"), "{line}: {help}");
    }
    for line in [
        "digits",
        "digits-trainer",
        "digits-trainer-engine",
        "digits-inference",
        "digits-demo",
    ] {
        let version = run(line, "--version")?;
        ensure!(version.starts_with("digits"), "{line}: {version}");
    }
    let pages = sandbox.dir().join("man1");
    for (service, page, flag) in [
        ("digits-trainer", "digits-trainer-run.1", "spec"),
        ("digits-inference", "digits-inference.1", "models"),
    ] {
        run(&format!("{service} man"), &pages.display().to_string())?;
        let text = std::fs::read_to_string(pages.join(page))?;
        ensure!(text.contains(flag), "{page}: {text}");
    }
    let slip = Command::new(sandbox.binary("digits-trainer"))
        .arg("rnu")
        .output()?;
    ensure!(slip.status.code() == Some(64), "{slip:?}");
    ensure!(
        String::from_utf8_lossy(&slip.stderr).contains("no command \"rnu\": use run, work, health"),
        "{slip:?}"
    );
    Ok(())
}

/// Commands that the services refuse, and a part of the message.
const REFUSED: &[(&str, &str)] = &[
    ("train --preset fats", "did you mean \"fast\"?"),
    ("train --dataset sinthetic", "did you mean \"synthetic\"?"),
    ("train --learning-rate 0", "--learning-rate: must be"),
    ("train --momentum 1", "--momentum: must be"),
    (
        "train --hidden none --dropout 0.5",
        "set --hidden, or 0 here",
    ),
    (
        "train --publish best --report",
        "run `digits report` after the job",
    ),
    (
        "train --precision tf32 --device cpu",
        "use float32 or bfloat16",
    ),
    (
        "train --early-stopping 0",
        "--early-stopping: must be at least 1",
    ),
    (
        "train --train-count 0 --validation-count 1",
        "--train-count",
    ),
    ("train --batch-size 0", "--batch-size"),
    ("train --seed 4294967296", "--seed: must be at most"),
    ("train --deadline 1e17", "--deadline"),
    ("train --model A", "--model: "),
    ("train --augment --scale 2,1", "--scale: "),
    (
        "jobs 0190a0b0-0000-7000-8000-000000000001",
        "`digits jobs` lists them",
    ),
    (
        "checkpoints 0190a0b0-0000-7000-8000-000000000001",
        "`digits checkpoints` lists them",
    ),
    ("watch nothing", "`digits jobs` lists them"),
    ("sweep --grid epoch=1,2", "did you mean \"epochs\"?"),
    ("sweep --grid dropout=0.1,2", "--dropout: must be"),
    ("sweep --grid epochs=1,few", "--grid: \"few\" is not"),
    (
        "sweep --grid epochs=1 --promotion latest",
        "--promotion: must be manual",
    ),
    ("sweep show nothing", "`digits sweep list` lists them"),
    (
        "sweep cancel 0190a0b0-0000-7000-8000-000000000001",
        "`digits sweep list` lists them",
    ),
    ("promote nothing", "`digits checkpoints` lists them"),
    ("serving A", "model: "),
    ("rollback", ""),
    ("drop", ""),
    ("model digts", "it serves digits"),
    ("predict --model digts Cargo.toml", "it serves digits"),
];

#[tokio::test]
async fn messages_have_words_of_the_command_line() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    for (line, part) in REFUSED {
        let output: Output = Command::new(sandbox.binary("digits"))
            .args(line.split_whitespace())
            .env("DIGITS_TRAINER", sandbox.trainer()?.grpc())
            .env("DIGITS_INFERENCE", sandbox.inference()?.grpc())
            .output()?;
        let text = String::from_utf8(output.stderr)?;
        ensure!(!output.status.success(), "{line} succeeded");
        ensure!(text.contains(part), "{line}, without {part:?}: {text}");
        for name in [
            "spec.",
            "header.",
            "_",
            "ListJobs",
            "ListCheckpoints",
            "ListSweeps",
            "EVERY",
        ] {
            ensure!(!text.contains(name), "{line} names {name:?}: {text}");
        }
    }
    sandbox.stop().await
}
