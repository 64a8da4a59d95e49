//! What a user reads about the promotion of a job's checkpoints, and the commands in it.

use crate::datasets::{bands, digits, folder, push};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::sandbox::Sandbox;
use digits_testing::{patience, until};

/// Runs `digits` with these arguments, separated by spaces; standard output.
fn run(sandbox: &Sandbox, arguments: &str) -> Result<String> {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let output = digits(sandbox, &arguments)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "digits {arguments:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// What follows `before` in the output, up to the end of its line.
fn after<'a>(text: &'a str, before: &str) -> Result<&'a str> {
    let found = text.lines().find_map(|line| line.split_once(before));
    let (_, rest) = found.with_context(|| format!("no {before:?} in:\n{text}"))?;
    Ok(rest)
}

/// Trains on a data set; standard output, with the id of the checkpoint.
fn train(sandbox: &Sandbox, dataset: &str, more: &str) -> Result<(String, String)> {
    let flags = "--hidden 64 --batch-size 20 --validate-every 1000 --publish final";
    let text = run(
        sandbox,
        &format!("train --dataset {dataset} {flags} {more}"),
    )?;
    let id = after(&text, "checkpoint ")?.split(' ').next();
    let id = id.context("an id")?.to_owned();
    Ok((text, id))
}

/// Waits until the inference service has loaded a checkpoint; the line of its log.
async fn loads(sandbox: &Sandbox, id: &str) -> Result<String> {
    let part = format!(" checkpoint={id}");
    until("the hot load", async || {
        let log = sandbox.inference()?.log()?;
        Ok(log.lines().find(|it| it.contains(&part)).map(str::to_owned))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn train_says_what_it_replaced_or_why_it_did_not() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    for (name, labels) in [("letters", 26), ("signs", 5)] {
        let dir = folder(&sandbox, name, &bands(labels, 1_300, 104)?)?;
        push(&sandbox, &dir, name)?;
    }
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;

    let (text, good) = train(&sandbox, "letters", "--epochs 4 --learning-rate 0.1")?;
    ensure!(!text.contains("replaces"), "{text}");
    loads(&sandbox, &good).await?;
    let (text, bad) = train(&sandbox, "letters", "--epochs 1 --learning-rate 0.000001")?;
    let figures = after(&text, &format!("  replaces checkpoint {good}: accuracy "))?;
    let (new, old) = figures
        .split_once(" %, before ")
        .context("two accuracies")?;
    let (new, old): (f64, f64) = (new.parse()?, old.trim_end_matches(" %").parse()?);
    ensure!(new < 50.0 && old > 90.0, "{figures}");
    let command = after(&text, "  to serve that one again: digits ")?;
    assert_eq!(command, "rollback --to 1");
    let line = loads(&sandbox, &bad).await?;
    for part in [
        format!("replaced={good}"),
        "replaced_accuracy=".to_owned(),
        "digits rollback --to 1".to_owned(),
    ] {
        ensure!(line.contains(&part), "no {part} in {line}");
    }
    let record = run(&sandbox, command)?;
    ensure!(record.contains(&good), "{record}");
    run(&sandbox, "release")?;

    let (text, signs) = train(&sandbox, "signs", "--epochs 1")?;
    let reason = "it was trained on the data set signs, and the model digits serves a checkpoint trained on letters";
    ensure!(text.contains(&format!("not promoted: {reason}")), "{text}");
    ensure!(text.contains("digits train --model NAME"), "{text}");
    let command = after(&text, "  to serve it: digits ")?;
    assert_eq!(command, format!("promote {signs}"));
    let details = run(&sandbox, &format!("checkpoints {signs}"))?;
    ensure!(details.contains(reason), "{details}");
    let record = run(&sandbox, command)?;
    ensure!(record.contains(&signs), "{record}");
    sandbox.stop().await
}
