//! Operational faults: a missing libtorch, a missing GPU, a crash, a wrong flag.

use anyhow::{Context as _, Result};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{JobSpec, JobState};
use digits_testing::{patience, until};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    process::Command,
};

#[test]
fn a_missing_libtorch_is_reported_in_one_sentence() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let dir = sandbox.dir();
    fs::copy(sandbox.binary("digits-trainer"), dir.join("digits-trainer"))?;
    // The same engine, but its search path leads nowhere.
    let mut engine = fs::read(sandbox.binary("digits-trainer-engine"))?;
    let needle = b"torch/lib";
    let places: Vec<usize> = (0..engine.len() - needle.len())
        .filter(|&at| engine[at..].starts_with(needle))
        .collect();
    for at in places {
        engine[at..at + needle.len()].copy_from_slice(b"nowhere/x");
    }
    fs::write(dir.join("digits-trainer-engine"), engine)?;
    fs::set_permissions(
        dir.join("digits-trainer-engine"),
        fs::Permissions::from_mode(0o755),
    )?;

    let output = Command::new(dir.join("digits-trainer"))
        .env_remove("LD_LIBRARY_PATH")
        .output()?;
    let message = String::from_utf8(output.stderr)?;
    assert!(!output.status.success());
    assert!(message.contains("libtorch"), "{message}");
    assert!(
        message.contains("LD_LIBRARY_PATH") || message.contains("make libtorch"),
        "{message}"
    );
    assert!(
        !message.contains("error while loading shared libraries"),
        "{message}"
    );
    assert_eq!(message.trim().lines().count(), 1, "{message}");
    Ok(())
}

#[tokio::test]
async fn cuda_is_linked_and_never_falls_back_to_the_cpu() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let pid = sandbox.trainer()?.pid();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let libtorch = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.ends_with("/libtorch_cpu.so"))
        .context("the trainer has not loaded libtorch")?;
    let cuda = libtorch.replace("libtorch_cpu.so", "libtorch_cuda.so");
    assert_eq!(
        fs::exists(&cuda)?,
        maps.contains("/libtorch_cuda.so"),
        "{cuda}"
    );

    if !fs::exists("/dev/nvidiactl")? {
        let mut training = sandbox.training().await?;
        let spec = JobSpec {
            device: Some("cuda".into()),
            ..specs::synthetic(1)
        };
        let error = jobs::submit(&mut training, spec)
            .await
            .expect_err("there is no GPU");
        let status = error.downcast::<tonic::Status>()?;
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert!(status.message().contains("device"), "{status}");
    }
    sandbox.stop().await
}

#[tokio::test]
async fn a_killed_trainer_resumes_its_jobs() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let long = jobs::submit(&mut training, specs::synthetic(40)).await?;
    let queued = jobs::submit(&mut training, specs::synthetic(1)).await?;
    until("the first row", async || {
        let rows = jobs::history(&mut training, &long.job_id).await?;
        Ok((!rows.is_empty()).then_some(()))
    })
    .await?;
    sandbox.take_trainer()?.crash()?;

    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    for id in [&long.job_id, &queued.job_id] {
        let job = jobs::watch(&mut training, id, |_| {}).await?;
        assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    }
    let rows = jobs::history(&mut training, &long.job_id).await?;
    let steps: Vec<u64> = rows.iter().map(|row| row.step).collect();
    let mut sorted = steps.clone();
    sorted.dedup();
    sorted.sort_unstable();
    assert_eq!(steps, sorted, "each row once, in order");
    sandbox.stop().await
}

#[test]
fn bad_configuration_exits_64_with_one_line() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let cases: [(&str, &[&str], &str); 4] = [
        ("digits-trainer", &["--listen", "nowhere"], "--listen"),
        (
            "digits-trainer",
            &["--state", "state", "--storage", "gopher://x"],
            "storage",
        ),
        ("digits-inference", &["--listen", "nowhere"], "--listen"),
        ("digits-inference", &["--storage", "gopher://x"], "storage"),
    ];
    for (binary, arguments, word) in cases {
        let output = Command::new(sandbox.binary(binary))
            .args(arguments)
            .output()?;
        let message = String::from_utf8(output.stderr)?;
        assert_eq!(
            output.status.code(),
            Some(64),
            "{binary} {arguments:?}: {message}"
        );
        assert!(message.contains(word), "{binary} {arguments:?}: {message}");
    }
    Ok(())
}

/// As in a Secret that was made with `echo`, and an `--env-file` with Windows' line ends.
#[tokio::test]
async fn white_space_around_a_variable_is_ignored_and_an_empty_one_is_unset() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let (storage, state) = (sandbox.dir().join("shared"), sandbox.dir().join("state"));
    for (name, binary) in [
        ("trainer", "digits-trainer"),
        ("inference", "digits-inference"),
    ] {
        let mut command = Command::new(sandbox.binary(binary));
        command
            .env("DIGITS_STORAGE", format!("{}\n", storage.display()))
            .env("DIGITS_STATE", format!("\t{}\r\n", state.display()))
            .envs([
                ("DIGITS_SHUTDOWN_GRACE", "3s\n"),
                ("DIGITS_ACCESS_LOG", ""),
                ("DIGITS_OTLP_ENDPOINT", " \n"),
                ("DIGITS_WORKERS", ""),
                ("TOKIO_WORKER_THREADS", "2\n"),
            ]);
        let service = sandbox.start(name, command).await?;
        assert!(service.stop().await?.success());
    }
    let mut names: Vec<_> = fs::read_dir(sandbox.dir())?
        .map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()))
        .collect::<Result<_>>()?;
    names.retain(|name| name.starts_with("shared") || name.starts_with("state"));
    names.sort();
    assert_eq!(names, ["shared", "state"]);
    Ok(())
}

#[test]
fn a_variable_that_cannot_be_used_is_refused_by_name() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let bucket = [
        ("DIGITS_STORAGE", "s3://bucket/prefix"),
        ("DIGITS_STATE", "state"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    for (name, value) in [
        ("DIGITS_STORAGE", "/a\nb"),
        ("DIGITS_SHUTDOWN_GRACE", "soon"),
        ("TOKIO_WORKER_THREADS", "0"),
        ("AWS_ALLOW_HTTP", "maybe"),
        ("AWS_ENDPOINT", "http://127.0.0.1:9000"),
        ("AWS_CHECKSUM_ALGORITHM", "md5"),
        ("HTTPS_PROXY", "http://"),
    ] {
        for binary in ["digits-trainer", "digits-inference"] {
            let output = Command::new(sandbox.binary(binary))
                .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
                .envs(bucket)
                .env(name, value)
                .current_dir(sandbox.dir())
                .output()?;
            let message = String::from_utf8(output.stderr)?;
            assert_eq!(output.status.code(), Some(64), "{binary} {name}: {message}");
            // clap names the flag of a variable.
            let flag = name
                .replace("DIGITS_", "--")
                .replace('_', "-")
                .to_lowercase();
            let named = message.contains(name) || message.contains(&flag);
            assert!(named, "{binary} {name}: {message}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_a_start_up_whose_storage_does_not_answer() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    // Accepts connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut trainer = tokio::process::Command::new(sandbox.binary("digits-trainer"))
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .args(["--storage", "s3://silent/digits", "--state"])
        .arg(sandbox.dir().join("state"))
        .env("AWS_ENDPOINT", format!("http://{}", silent.local_addr()?))
        .envs([("AWS_ALLOW_HTTP", "true"), ("AWS_REGION", "us-east-1")])
        .envs([
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ])
        .kill_on_drop(true)
        .spawn()?;
    let _held = tokio::time::timeout(patience(), silent.accept()).await??;
    let pid = Pid::from_raw(trainer.id().context("it runs")?.cast_signed());
    kill_process(pid.context("a pid")?, Signal::TERM)?;
    let status = tokio::time::timeout(patience(), trainer.wait()).await??;
    assert_eq!(status.signal(), Some(15), "{status}");
    Ok(())
}
