//! `digits-trainer run`: one job as a process of its own.

mod service_support;

use digits_proto::v1::JobSpec;
use digits_trainer::proto_json;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use service_support::{PATIENCE, Server, endless_job, get, small_job, submit, watch_to_end};
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

fn command(folder: &Path, spec: &str, state: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_digits-trainer-engine"));
    command
        .args(["run", "--json", "--spec", spec, "--storage"])
        .arg(folder.join("storage"))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(state) = state {
        command.args(["--state", state]);
    }
    command
}

fn write_spec(folder: &Path, spec: &JobSpec) {
    let json = proto_json::write("digits.v1.JobSpec", spec).expect("JSON");
    fs::write(folder.join("job.json"), json.to_string()).expect("written");
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn job(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one document")
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
async fn a_run_makes_what_the_service_makes() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = small_job(2);
    let mut child = command(folder.path(), "-", None).spawn().expect("started");
    let json = proto_json::write("digits.v1.JobSpec", &spec).expect("JSON");
    let mut stdin = child.stdin.take().expect("piped");
    stdin
        .write_all(json.to_string().as_bytes())
        .expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let job = job(&output);
    assert_eq!(job["state"], "JOB_STATE_SUCCEEDED");
    assert!(told(&output).contains("progress"), "{}", told(&output));
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

#[test]
fn what_is_wrong_is_told_and_exits_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = || {
        let child = command(folder.path(), "job.json", None).spawn();
        child.expect("started").wait_with_output().expect("ended")
    };
    let missing = run();
    assert_eq!(missing.status.code(), Some(64));
    assert!(
        told(&missing).contains("--spec job.json"),
        "{}",
        told(&missing)
    );

    fs::write(folder.path().join("job.json"), r#"{"epoch": 3}"#).expect("written");
    let unknown = run();
    assert_eq!(unknown.status.code(), Some(64));
    assert!(told(&unknown).contains("epoch"), "{}", told(&unknown));

    let two = JobSpec {
        seed: Some(1 << 40),
        ..small_job(0)
    };
    write_spec(folder.path(), &two);
    let refused = run();
    assert_eq!(refused.status.code(), Some(64), "{}", told(&refused));
    for field in ["spec.epochs: must be", "spec.seed: must be"] {
        assert!(told(&refused).contains(field), "{}", told(&refused));
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
    let failed = run();
    assert_eq!(failed.status.code(), Some(1), "{}", told(&failed));
    assert_eq!(job(&failed)["state"], "JOB_STATE_FAILED");
    assert!(told(&failed).contains("deadline"), "{}", told(&failed));
}

/// Waits for a line of the log.
fn wait_for(child: &mut Child, part: &str) {
    let stderr = child.stderr.take().expect("piped");
    let (found, seen) = std::sync::mpsc::channel();
    let part = part.to_owned();
    // Reads on to the end, so that the child is never held up by a full pipe.
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.contains(&part) {
                let _ = found.send(());
            }
        }
    });
    seen.recv_timeout(PATIENCE).expect("the line");
}

fn end_of(child: Child, signal: Signal) -> Output {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process"), signal).expect("sent");
    child.wait_with_output().expect("ended")
}

#[test]
fn a_stopped_run_is_found_again_in_its_state() {
    let folder = tempfile::tempdir().expect("a folder");
    write_spec(folder.path(), &endless_job());
    let start = || {
        command(folder.path(), "job.json", Some("state"))
            .spawn()
            .expect("started")
    };
    let mut child = start();
    wait_for(&mut child, "progress");
    let begun = Instant::now();
    let stopped = end_of(child, Signal::TERM);
    assert_eq!(stopped.status.code(), Some(75));
    assert!(begun.elapsed() < Duration::from_secs(30));
    let first = job(&stopped);
    assert_eq!(first["state"], "JOB_STATE_QUEUED");

    let mut child = start();
    wait_for(&mut child, "progress");
    let again = job(&end_of(child, Signal::INT));
    assert_eq!(again["job_id"], first["job_id"], "the same job goes on");
    let step = |job: &Value| -> u64 {
        let step = job["progress"]["step"].as_str().expect("a step");
        step.parse().expect("a number")
    };
    assert!(step(&again) > step(&first), "from its bundle");

    // A run that has succeeded is not made twice.
    write_spec(folder.path(), &small_job(1));
    let done = |state: &str| {
        let child = command(folder.path(), "job.json", Some(state)).spawn();
        let output = child.expect("started").wait_with_output().expect("ended");
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        job(&output)["job_id"].clone()
    };
    assert_eq!(done("other"), done("other"));
}
