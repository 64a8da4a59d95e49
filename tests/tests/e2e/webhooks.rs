//! Webhooks outlast a killed trainer; an independent receiver verifies their signatures.

use crate::support::command_line::python;
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_testing::{patience, until};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0";

/// A running receiver. Killed when dropped.
struct Receiver {
    child: Child,
    output: PathBuf,
}

impl Receiver {
    /// Starts one that does not answer its first `silent` requests.
    fn start(python: &Path, folder: &Path, silent: u32) -> Result<Self> {
        let (output, secret) = (folder.join("received"), folder.join("receiver-secret"));
        fs::write(&secret, SECRET)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/webhook_receiver.py");
        let child = Command::new(python)
            .arg(script)
            .arg("0")
            .arg(secret)
            .arg(silent.to_string())
            .stdout(fs::File::create(&output)?)
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self { child, output })
    }

    /// The whole lines that it has printed.
    fn lines(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(&self.output)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Ok(whole.lines().map(str::to_owned).collect())
    }

    async fn url(&self) -> Result<String> {
        let port = until("the receiver listens", async || {
            Ok(self.lines()?.into_iter().next())
        });
        Ok(format!("http://127.0.0.1:{}/hooks", port.await?))
    }

    /// What it has received, once there are events of all these types.
    async fn events(&self, types: &[&str]) -> Result<Vec<Value>> {
        until("the events", async || {
            let lines = self.lines()?;
            let parsed = lines.iter().skip(1).map(|line| serde_json::from_str(line));
            let events: Vec<Value> = parsed.collect::<Result<_, _>>()?;
            let has = |kind: &&str| events.iter().any(|it| it["event"]["type"] == **kind);
            Ok(types.iter().all(has).then_some(events))
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn an_event_whose_delivery_a_kill_interrupts_is_delivered_by_the_next_start() -> Result<()> {
    let name = "an_event_whose_delivery_a_kill_interrupts_is_delivered_by_the_next_start";
    let Some(python) = python(name, "hmac") else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new(patience())?;
    let receiver = Receiver::start(&python, sandbox.dir(), 1)?;
    let url = receiver.url().await?;
    // Two secrets: the receiver knows the new one alone.
    let secrets = sandbox.dir().join("secrets");
    fs::write(&secrets, format!("{OLD_SECRET}\n{SECRET}\n"))?;
    let secrets = secrets.display().to_string();
    let arguments = ["--webhook", &url, "--webhook-secret-file", &secrets];
    sandbox.start_trainer(&arguments).await?;
    let job = jobs::run(&mut sandbox.training().await?, specs::synthetic(1)).await?;
    // The first attempt hangs: the events are in the outbox, and none is delivered.
    let published = "digits.v1.checkpoint.published";
    receiver.events(&[published]).await?;
    sandbox.take_trainer()?.crash()?;
    sandbox.start_trainer(&arguments).await?;

    let types = [
        published,
        "digits.v1.checkpoint.promoted",
        "digits.v1.job.ended",
    ];
    let events = receiver.events(&types).await?;
    for event in &events {
        ensure!(event["verified"] == true, "{event}");
        ensure!(event["id"] == event["event"]["id"], "{event}");
        assert_eq!(event["content_type"], "application/cloudevents+json");
        assert_eq!(event["event"]["specversion"], "1.0");
        assert_eq!(event["event"]["data"]["job_id"], job.job_id);
    }
    let ids: Vec<&str> = events.iter().filter_map(|it| it["id"].as_str()).collect();
    let checkpoint = job.checkpoint_ids.first().context("a checkpoint")?;
    let published = format!("{checkpoint}-published");
    // Once before the kill, and again after it, before those that follow it.
    let expected = [
        published.clone(),
        published,
        format!("{checkpoint}-promoted-1"),
        format!("{}-ended", job.job_id),
    ];
    assert_eq!(ids, expected);
    let ended = events.last().context("an event")?;
    assert_eq!(ended["event"]["data"]["state"], "JOB_STATE_SUCCEEDED");
    sandbox.stop().await
}
