//! Jobs in MLflow, read back by MLflow's own client. Its server is large, so these tests run by
//! `make test-mlflow` alone.

use crate::support::{browser::Script, command_line::json, http};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{CurveRow, Job, JobState, PromotionPolicy, PublishPolicy, PublishSpec};
use digits_testing::{patience, until};
use serde_json::Value;
use std::{
    fs::File,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A value of a row.
type Figure = fn(&CurveRow) -> f64;

/// A running server of MLflow. Killed, with its workers, when dropped.
struct Mlflow {
    child: Child,
    python: PathBuf,
    port: u16,
}

impl Mlflow {
    /// Starts one with its database and artifacts in `folder`.
    async fn start(folder: &Path, port: u16) -> Result<Self> {
        let python = std::env::var_os("DIGITS_MLFLOW_PYTHON");
        let python = PathBuf::from(python.context("DIGITS_MLFLOW_PYTHON is not set")?);
        let mut log = File::options();
        let log = log
            .create(true)
            .append(true)
            .open(folder.join("mlflow.log"))?;
        let child = Command::new(&python)
            .args(["-W", "ignore", "-m", "mlflow", "server", "--workers", "1"])
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .arg("--backend-store-uri")
            .arg(format!("sqlite:///{}", folder.join("mlflow.db").display()))
            .arg("--artifacts-destination")
            .arg(folder.join("mlflow-artifacts"))
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let server = Self {
            child,
            python,
            port,
        };
        until("MLflow answers", async || {
            Ok(http::get(&format!("127.0.0.1:{port}"), "/health").ok())
        })
        .await?;
        Ok(server)
    }

    fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has of the experiment.
    fn content(&self) -> Result<Value> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/mlflow_exam.py");
        let output = Command::new(&self.python)
            .args(["-W", "ignore"])
            .arg(script)
            .args([&self.uri(), "digits"])
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{errors}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// What it has once the version with the alias is `champion` and no run goes on.
    async fn settled(&self, champion: &str) -> Result<Value> {
        until("MLflow has the jobs", async || {
            let content = self.content()?;
            let found = content["models"]["digits"]["champion"] == champion;
            let runs = content["runs"].as_array().context("runs")?;
            let ended = runs.iter().all(|run| run["status"] != "RUNNING");
            Ok((found && ended).then_some(content))
        })
        .await
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// Checks a run against its job and the rows of the job's history.
async fn check(sandbox: &Sandbox, run: &Value, job: &Job) -> Result<()> {
    assert_eq!(run["tags"]["digits.job_id"], job.job_id);
    assert_eq!(run["status"], "FINISHED");
    let rows = jobs::history(&mut sandbox.training().await?, &job.job_id).await?;
    let curves: [(&str, Figure); 4] = [
        ("train/loss", |row| row.train_loss),
        ("validation/loss", |row| {
            row.validation.map_or(f64::NAN, |it| it.loss)
        }),
        ("validation/accuracy", |row| {
            row.validation.map_or(f64::NAN, |it| it.accuracy)
        }),
        ("learning_rate", |row| row.learning_rate),
    ];
    for (key, figure) in curves {
        let points = run["metrics"][key].as_array().context(key)?;
        assert_eq!(points.len(), rows.len(), "{key}");
        for (point, row) in points.iter().zip(&rows) {
            assert_eq!(point[0], row.step, "{key}");
            let value = point[1].as_f64().context("a number")?;
            // As far as JSON is read here: the last bits differ.
            assert!(
                (value - figure(row)).abs() < 1e-12,
                "{key}: {point} {row:?}"
            );
        }
    }
    let test = job.test.context("a test")?;
    assert_eq!(run["metrics"]["test/accuracy"][0][1], test.accuracy);
    for id in &job.checkpoint_ids {
        for file in ["model.safetensors", "exam.safetensors", "manifest.json"] {
            let stored = sandbox
                .dir()
                .join("storage/checkpoints")
                .join(id)
                .join(file);
            let digest = digits_checkpoint::sha256_hex(&std::fs::read(stored)?);
            assert_eq!(run["artifacts"][format!("checkpoints/{id}/{file}")], digest);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the server of MLflow: make test-mlflow"]
async fn mlflow_has_every_job_once_however_often_it_and_the_trainer_are_killed() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mlflow = Mlflow::start(sandbox.dir(), port).await?;
    let uri = mlflow.uri();
    let arguments = ["--mlflow-tracking-uri", &uri, "--bundle-interval", "1s"];
    sandbox.start_trainer(&arguments).await?;
    let mut spec = specs::synthetic(3);
    spec.promotion = PromotionPolicy::Latest.into();
    spec.publish = Some(PublishSpec {
        policy: PublishPolicy::Final.into(),
    });
    spec.labels.insert("team".to_owned(), "a".to_owned());
    let first = jobs::run(&mut sandbox.training().await?, spec.clone()).await?;
    let content = mlflow.settled("1").await?;
    check(&sandbox, &content["runs"][0], &first).await?;
    let run = &content["runs"][0];
    assert_eq!(run["params"]["epochs"], "3");
    assert_eq!(run["params"]["sgd.learning_rate"], "0.05");
    assert_eq!(run["tags"]["label.team"], "a");

    // MLflow dies, a job ends meanwhile, the trainer dies while another one runs.
    drop(mlflow);
    let second = jobs::run(&mut sandbox.training().await?, spec.clone()).await?;
    spec.epochs = Some(1_000);
    let third = jobs::submit(&mut sandbox.training().await?, spec)
        .await?
        .job_id;
    sandbox.take_trainer()?.crash()?;
    let mlflow = Mlflow::start(sandbox.dir(), port).await?;
    for _ in 0..3 {
        sandbox.start_trainer(&arguments).await?;
        // In the middle of its rows, which it logs as they come.
        let state = jobs::further_rows(&mut sandbox.training().await?, &third, 20).await?;
        ensure!(state == JobState::Running, "it ended too early: {state:?}");
        sandbox.take_trainer()?.crash()?;
    }
    sandbox.start_trainer(&arguments).await?;
    let third = jobs::watch(&mut sandbox.training().await?, &third, |_| {}).await?;
    assert_eq!(third.state(), JobState::Succeeded);
    let content = mlflow.settled("3").await?;
    let runs = content["runs"].as_array().context("runs")?;
    assert_eq!(runs.len(), 3, "{runs:?}");
    for (run, job) in runs.iter().zip([&first, &second, &third]) {
        check(&sandbox, run, job).await?;
    }
    let versions = content["models"]["digits"]["versions"].as_object();
    let versions = versions.context("versions")?;
    assert_eq!(versions.len(), 3, "{versions:?}");
    for (version, job) in [("1", &first), ("2", &second), ("3", &third)] {
        let checkpoint = &versions[version]["tags"]["digits.checkpoint_id"];
        assert_eq!(
            Some(checkpoint),
            job.checkpoint_ids
                .last()
                .map(|id| Value::from(id.as_str()))
                .as_ref()
        );
        assert_eq!(
            versions[version]["files"].as_object().map(|it| it.len()),
            Some(3)
        );
    }

    json(&sandbox, 0, &["rollback"])?;
    mlflow.settled("2").await?;
    let text = |run: &Value, key: &str| run[key].as_str().unwrap_or_default().to_owned();
    let (experiment, run) = (text(&runs[2], "experiment"), text(&runs[2], "id"));
    let arguments = [uri.as_str(), &experiment, &run, "digits"];
    let test = "mlflow_has_every_job_once_however_often_it_and_the_trainer_are_killed";
    if let Some(page) = Script::start("mlflow.mjs", &arguments, sandbox.dir(), test)? {
        page.end()?;
    }
    sandbox.stop().await
}
