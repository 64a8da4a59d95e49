//! Runs the commands of `docs/operations.md` verbatim against running services.

use crate::support::{damage, http, metric_names};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{GetModelRequest, JobState};
use digits_testing::{patience, until};
use std::{fs, path::PathBuf, process::Command};

/// The `number`th block of commands, from 0, under a heading.
fn block(heading: &str, number: usize) -> Result<String> {
    let page = metric_names::text("docs/operations.md")?;
    let section = page.split(&format!("\n## {heading}\n")).nth(1);
    let section = section.with_context(|| format!("no section {heading}"))?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let block = section.split("\n```sh\n").nth(number + 1);
    let block = block.and_then(|rest| rest.split("\n```").next());
    let block = block.with_context(|| format!("{heading} has no block {number}"))?;
    Ok(block.to_owned())
}

/// Folders below the sandbox that the page names by variables.
const FOLDERS: [(&str, &str); 5] = [
    ("STORAGE", "storage"),
    ("STATE", "state"),
    ("BACKUP", "backup"),
    ("STATE_BACKUP", "state-backup"),
    ("NEW_STORAGE", "new-storage"),
];

/// Runs commands as an operator would; returns their output.
fn run(sandbox: &Sandbox, commands: &str) -> Result<String> {
    let programs = sandbox.binary("digits");
    let programs = programs.parent().context("a folder")?.to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [programs].into_iter().chain(std::env::split_paths(&path));
    let mut shell = Command::new("sh");
    shell.args(["-euc", commands]).env(
        "PATH",
        std::env::join_paths(path.collect::<Vec<PathBuf>>())?,
    );
    for (variable, folder) in FOLDERS {
        shell.env(variable, sandbox.dir().join(folder));
    }
    if let Ok(trainer) = sandbox.trainer() {
        shell.env("DIGITS_TRAINER", trainer.grpc());
    }
    if let Ok(inference) = sandbox.inference() {
        shell.env("DIGITS_INFERENCE", inference.grpc());
    }
    let output = shell.output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{commands}\n{error}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Waits until something serves that `wanted` takes, by its sequence; returns that.
async fn serves(sandbox: &Sandbox, wanted: impl Fn(u64) -> bool) -> Result<u64> {
    let mut client = sandbox.predict().await?;
    until("what serves", async || {
        let model = client.get_model(GetModelRequest::default()).await;
        let served = model.ok().map(|it| it.into_inner().served);
        let sequence = served.and_then(|it| it.first().map(|it| it.sequence));
        Ok(sequence.filter(|it| wanted(*it)))
    })
    .await
}

#[tokio::test]
async fn a_backup_taken_while_training_can_be_restored() -> Result<()> {
    const SECTION: &str = "Back up, move, restore";
    let mut sandbox = Sandbox::new(patience())?;
    sandbox
        .start_trainer(&["--bundle-interval", "100ms"])
        .await?;
    sandbox.start_inference(&[]).await?;
    let mut training = sandbox.training().await?;
    jobs::run(&mut training, specs::synthetic(3)).await?;
    // Publishes all the while.
    let running = jobs::submit(&mut training, specs::synthetic(40)).await?;
    serves(&sandbox, |sequence| sequence > 5).await?;
    run(&sandbox, &block(SECTION, 0)?)?;
    ensure!(sandbox.take_trainer()?.stop().await?.success());
    run(&sandbox, &block(SECTION, 1)?)?;
    ensure!(sandbox.take_inference()?.stop().await?.success());

    for folder in ["storage", "state"] {
        fs::remove_dir_all(sandbox.dir().join(folder))?;
    }
    // It exists before the storage does.
    fs::create_dir(sandbox.dir().join("storage"))?;
    sandbox.start_inference(&[]).await?;
    let printed = run(&sandbox, &block(SECTION, 2)?)?;
    ensure!(printed.lines().count() > 10, "{printed}");
    serves(&sandbox, |sequence| sequence > 5).await?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let job = jobs::watch(&mut training, &running.job_id, |_| {}).await?;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    let newest = run(&sandbox, "digits serving --json --storage \"$STORAGE\"")?;
    let last = job.checkpoint_ids.last().context("a checkpoint")?;
    ensure!(newest.contains(last.as_str()), "{newest}");
    sandbox.stop().await
}

#[tokio::test]
async fn a_moved_storage_serves_and_takes_new_checkpoints() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    let mut training = sandbox.training().await?;
    jobs::run(&mut training, specs::synthetic(2)).await?;
    serves(&sandbox, |sequence| sequence == 2).await?;
    ensure!(sandbox.take_trainer()?.stop().await?.success());
    run(&sandbox, &block("Back up, move, restore", 3)?)?;
    serves(&sandbox, |sequence| sequence == 2).await?;
    ensure!(sandbox.take_inference()?.stop().await?.success());

    // The sandbox has one storage path, which the new storage takes.
    let place = |name: &str| sandbox.dir().join(name);
    fs::remove_dir_all(place("storage"))?;
    fs::rename(place("new-storage"), place("storage"))?;
    sandbox.start_inference(&[]).await?;
    serves(&sandbox, |sequence| sequence == 2).await?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    jobs::run(&mut training, specs::synthetic(3)).await?;
    serves(&sandbox, |sequence| sequence == 5).await?;
    sandbox.stop().await
}

#[tokio::test]
async fn a_bad_model_is_rolled_back_and_the_next_released() -> Result<()> {
    const SECTION: &str = "A bad model";
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    let mut training = sandbox.training().await?;
    jobs::run(&mut training, specs::synthetic(2)).await?;
    serves(&sandbox, |sequence| sequence == 2).await?;
    run(&sandbox, &block(SECTION, 0)?)?;
    serves(&sandbox, |sequence| sequence == 3).await?;
    // With a hold: later checkpoints do not serve.
    jobs::run(&mut training, specs::synthetic(3)).await?;
    let records = fs::read_dir(sandbox.dir().join("storage/serving/digits"))?;
    ensure!(records.count() == 3);
    run(&sandbox, &block(SECTION, 1)?)?;
    jobs::run(&mut training, specs::synthetic(4)).await?;
    serves(&sandbox, |sequence| sequence > 4).await?;
    sandbox.stop().await
}

/// Waits until the record `sequence` was refused for its format, and checks that record 2 serves
/// on.
async fn is_left_out(sandbox: &Sandbox, sequence: u64) -> Result<()> {
    let mut client = sandbox.predict().await?;
    until("a refusal", async || {
        let model = client.get_model(GetModelRequest::default()).await?;
        let model = model.into_inner();
        ensure!(model.served.iter().all(|it| it.sequence == 2));
        let refused = model.last_refusal.filter(|it| it.sequence == sequence);
        Ok(refused.filter(|it| it.reason == "format"))
    })
    .await?;
    let admin = sandbox.inference()?.admin();
    http::get(admin, "/readyz").context("what serves is ready")?;
    // The metric of the alert DigitsReloadFailing.
    let behind = format!(
        "digits_inference_behind_head{{model=\"digits\"}} {}",
        sequence - 2
    );
    until(&behind, async || {
        Ok(http::get(admin, "/metrics")?
            .contains(&behind)
            .then_some(()))
    })
    .await
}

#[tokio::test]
async fn records_of_a_newer_version_are_refused_until_an_operator_promotes() -> Result<()> {
    const SECTION: &str = "Upgrade";
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    let mut training = sandbox.training().await?;
    let job = jobs::run(&mut training, specs::synthetic(2)).await?;
    serves(&sandbox, |sequence| sequence == 2).await?;
    // A checkpoint in a record that is understood, then a record that is not.
    damage::republish(&sandbox, |files| files.manifest["format"] = 99.into())?;
    is_left_out(&sandbox, 3).await?;
    let head = damage::newer_record(&sandbox)?;
    is_left_out(&sandbox, head).await?;
    // The trainer does not promote: a newer program decides what serves.
    jobs::run(&mut training, specs::synthetic(1)).await?;
    let records = fs::read_dir(sandbox.dir().join("storage/serving/digits"))?;
    ensure!(records.count() as u64 == head);
    is_left_out(&sandbox, head).await?;

    // Record 3 is readable, but its checkpoint is not.
    ensure!(run(&sandbox, "digits rollback").is_err());
    let printed = run(&sandbox, &format!("RECORD=2\n{}", block(SECTION, 0)?))?;
    ensure!(printed.contains("format"), "{printed}");
    serves(&sandbox, |sequence| sequence == head + 1).await?;
    let served = run(&sandbox, "digits model --json")?;
    let last = job.checkpoint_ids.last().context("a checkpoint")?;
    ensure!(served.contains(last.as_str()), "{served}");
    // By its id, past another such record.
    let head = damage::newer_record(&sandbox)?;
    let first = job.checkpoint_ids.first().context("a checkpoint")?;
    run(&sandbox, &format!("digits promote {first}"))?;
    serves(&sandbox, |sequence| sequence == head + 1).await?;
    run(&sandbox, &block(SECTION, 1)?)?;
    jobs::run(&mut training, specs::synthetic(3)).await?;
    serves(&sandbox, |sequence| sequence > head + 2).await?;
    sandbox.stop().await
}

/// Where SQLite keeps `PRAGMA user_version` in a file: four bytes, the highest first.
const USER_VERSION: std::ops::Range<usize> = 60..64;

#[tokio::test]
async fn a_newer_database_is_refused_and_its_backup_works() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let job = jobs::run(&mut training, specs::synthetic(1)).await?;
    ensure!(sandbox.take_trainer()?.stop().await?.success());
    run(&sandbox, &block("Back up, move, restore", 1)?)?;

    // As a newer trainer leaves it.
    let state = sandbox.dir().join("state");
    let database = state.join("jobs.sqlite3");
    let mut bytes = fs::read(&database)?;
    let version = u32::from_be_bytes(bytes[USER_VERSION].try_into()?);
    bytes[USER_VERSION].copy_from_slice(&(version + 1).to_be_bytes());
    fs::write(&database, bytes)?;
    let output = Command::new(sandbox.binary("digits-trainer"))
        .args(["--storage", &sandbox.storage(), "--state"])
        .arg(&state)
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(69),
        "{}: {stderr}",
        output.status
    );
    let reason = format!("its version {} is newer than this program", version + 1);
    ensure!(stderr.contains(&reason), "{stderr}");

    run(&sandbox, &block("Upgrade", 2)?)?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let again = jobs::get(&mut training, &job.job_id).await?;
    assert_eq!(again.state(), JobState::Succeeded);
    jobs::run(&mut training, specs::synthetic(1)).await?;
    sandbox.stop().await
}
