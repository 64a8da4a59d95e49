//! `digits-trainer run`: one job as a process of its own.

use crate::{
    child::{self, Ended, Process},
    support::{Server, endless_job, get, small_job, submit, watch_to_end},
};
use digits_proto::v1::{EvaluationSpec, JobSpec};
use rustix::process::Signal;
use serde_json::Value;
use std::{fs, path::Path, process::Command};

fn command(folder: &Path, spec: &str, state: Option<&str>) -> Command {
    let mut command = child::engine();
    command
        .args(["run", "--json", "--spec", spec, "--storage"])
        .arg(folder.join("storage"))
        .current_dir(folder);
    if let Some(state) = state {
        command.args(["--state", state]);
    }
    command
}

fn write_spec(folder: &Path, spec: &JobSpec) {
    let json = digits_proto::json::write(spec).expect("JSON");
    fs::write(folder.join("job.json"), json.to_string()).expect("written");
}

fn job(ended: &Ended) -> Value {
    serde_json::from_str(&ended.printed).expect("one document")
}

/// Digest of the weights of a checkpoint.
fn weights(folder: &Path, checkpoint: &str) -> String {
    let path = folder.join("storage/checkpoints").join(checkpoint);
    let manifest = fs::read(path.join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    manifest["files"]["model"]["sha256"]
        .as_str()
        .expect("a digest")
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_publishes_the_same_checkpoints_as_the_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = small_job(2);
    let json = digits_proto::json::write(&spec).expect("JSON");
    let ended = Process::start(&mut command(folder.path(), "-", None), &json.to_string());
    let ended = ended.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let job = job(&ended);
    assert_eq!(job["state"], "JOB_STATE_SUCCEEDED");
    assert!(ended.log.contains("progress"), "{}", ended.log);
    let last = job["checkpoint_ids"][1].as_str().expect("two checkpoints");

    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let twin = submit(&mut client, "a", spec).await.expect("accepted");
    watch_to_end(&mut client, &twin.job_id, 0).await;
    let twin = get(&mut client, &twin.job_id).await;
    assert_eq!(
        weights(folder.path(), last),
        weights(folder.path(), &twin.checkpoint_ids[1])
    );
    server.stop().await;
}

#[tokio::test]
async fn errors_have_one_line_and_their_exit_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async || {
        let mut command = command(folder.path(), "job.json", None);
        Process::start(&mut command, "").end().await
    };
    let missing = run().await;
    assert_eq!(missing.code, Some(64));
    assert!(missing.log.contains("--spec job.json"), "{}", missing.log);

    fs::write(folder.path().join("job.json"), r#"{"epoch": 3}"#).expect("written");
    let unknown = run().await;
    assert_eq!(unknown.code, Some(64));
    assert!(unknown.log.contains("epoch"), "{}", unknown.log);

    let two = JobSpec {
        seed: Some(1 << 40),
        ..small_job(0)
    };
    write_spec(folder.path(), &two);
    let refused = run().await;
    assert_eq!(refused.code, Some(64), "{}", refused.log);
    for field in ["spec.epochs: must be", "spec.seed: must be"] {
        assert!(refused.log.contains(field), "{}", refused.log);
    }

    let late = JobSpec {
        limits: Some(digits_proto::v1::LimitsSpec {
            deadline: Some(prost_types::Duration {
                seconds: 0,
                nanos: 1,
            }),
        }),
        ..small_job(1)
    };
    write_spec(folder.path(), &late);
    let failed = run().await;
    assert_eq!(failed.code, Some(1), "{}", failed.log);
    assert_eq!(job(&failed)["state"], "JOB_STATE_FAILED");
    assert!(failed.log.contains("deadline"), "{}", failed.log);
}

/// A count in the job's progress, which JSON has as text.
fn progress(job: &Value, count: &str) -> u64 {
    let text = job["progress"][count].as_str().expect("a count");
    text.parse().expect("a number")
}

#[tokio::test]
async fn a_stopped_run_resumes_from_its_state_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    write_spec(folder.path(), &endless_job());
    let stopped_by = async |signal| {
        let mut command = command(folder.path(), "job.json", Some("state"));
        let mut run = Process::start(&mut command, "");
        run.logged("progress").await;
        let stopped = run.end_by(signal).await;
        assert_eq!(stopped.code, Some(75), "{}", stopped.log);
        // At its next step, not when the grace time is over.
        assert!(
            !stopped.log.contains("did not stop in time"),
            "{}",
            stopped.log
        );
        job(&stopped)
    };
    let first = stopped_by(Signal::TERM).await;
    assert_eq!(first["state"], "JOB_STATE_QUEUED");
    assert!(
        progress(&first, "step") < progress(&first, "steps"),
        "{first}"
    );

    let again = stopped_by(Signal::INT).await;
    assert_eq!(again["job_id"], first["job_id"], "the same job is resumed");
    let step = |job: &Value| progress(job, "step");
    assert!(step(&again) > step(&first), "from its bundle");

    // A run that has succeeded is not made twice.
    write_spec(folder.path(), &small_job(1));
    let done = async |state: &str| {
        let mut command = command(folder.path(), "job.json", Some(state));
        let ended = Process::start(&mut command, "").end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        job(&ended)["job_id"].clone()
    };
    assert_eq!(done("other").await, done("other").await);
}

/// The lines of a JSON log with this message.
fn lines(ended: &Ended, message: &str) -> Vec<Value> {
    let lines = ended.log.lines().map(serde_json::from_str::<Value>);
    let lines = lines.map(|line| line.expect("JSON"));
    lines.filter(|line| line["message"] == message).collect()
}

#[tokio::test]
async fn the_log_of_a_run_has_the_name_and_the_figures_of_its_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = JobSpec {
        name: "sevens and ones".to_owned(),
        // 100 images are not a whole number of batches: the mean over the batches is another.
        evaluation: Some(EvaluationSpec {
            batch_size: Some(64),
            ..EvaluationSpec::default()
        }),
        ..small_job(1)
    };
    write_spec(folder.path(), &spec);
    let mut command = command(folder.path(), "job.json", None);
    command.args(["--log-format", "json"]);
    let ended = Process::start(&mut command, "").end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let job = job(&ended);

    let begins = lines(&ended, "job starts");
    let [begins] = begins.as_slice() else {
        panic!("{begins:?}")
    };
    assert_eq!(begins["job"], job["job_id"]);
    assert_eq!(begins["name"], "sevens and ones");
    assert_eq!(begins["attempt"], 1);

    // The mean over the images, as the metrics of the same names, and not over the batches.
    let validation = &job["progress"]["latest"]["validation"];
    let rows = lines(&ended, "progress");
    let newest = rows.last().expect("a row");
    assert_eq!(newest["validation_loss"], validation["loss"]);
    assert_eq!(newest["validation_accuracy"], validation["accuracy"]);
    let tests = lines(&ended, "test");
    assert_eq!(tests.len(), 1, "{}", ended.log);
    assert_eq!(tests[0]["test_loss"], job["test"]["loss"]);
    assert_ne!(job["test"]["loss"], job["test"]["loss_batch_mean"]);
}

#[tokio::test]
async fn settings_without_a_flag_come_from_the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    write_spec(folder.path(), &small_job(1));
    for (variables, parts) in [
        (
            &[("DIGITS_QUEUE_CAPACITY", "many")][..],
            &["DIGITS_QUEUE_CAPACITY", "'many'"][..],
        ),
        (
            &[("DIGITS_BUNDLE_INTERVAL", "often")],
            &["DIGITS_BUNDLE_INTERVAL", "such as 250ms"],
        ),
        (&[("DIGITS_LISTEN", "here")], &["DIGITS_LISTEN", "'here'"]),
        (
            &[("DIGITS_REMOTE_WRITE_TOKEN_FILE", "token")],
            &["--remote-write <"],
        ),
        (
            &[("DIGITS_SHUTDOWN_GRACE", "soon")],
            &["--shutdown-grace", "'soon'"],
        ),
        // Good values that do not go together: they were taken.
        (
            &[
                ("DIGITS_MAX_DATASET_BYTES", "7"),
                ("DIGITS_DATASET_CACHE_BYTES", "5"),
            ],
            &["--dataset-cache-bytes 5 is less than --max-dataset-bytes 7"],
        ),
    ] {
        let mut command = command(folder.path(), "job.json", None);
        let ended = Process::start(command.envs(variables.iter().copied()), "");
        let ended = ended.end().await;
        assert_eq!(ended.code, Some(64), "{variables:?}: {}", ended.log);
        let lines: Vec<&str> = ended.log.lines().collect();
        let [line] = lines.as_slice() else {
            panic!("one line: {lines:?}")
        };
        assert_eq!(line.matches("error: ").count(), 1, "{line}");
        for part in parts {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    // A run has a number of workers of its own and opens no port.
    let mut command = command(folder.path(), "job.json", None);
    command.env("DIGITS_WORKERS", "many");
    command.env("DIGITS_LISTEN", "192.0.2.1:1");
    let ended = Process::start(&mut command, "").end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}
