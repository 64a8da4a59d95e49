//! Debian's `prometheus` and `promtool`, which the tests of `deploy/` drive.

use super::metric_names::text;
use anyhow::{Context as _, Result, bail, ensure};
use digits_testing::{patience, skip, until};
use serde_json::Value;
use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use ureq::Agent;

/// Where one of the programs is: in `DIGITS_PROMETHEUS_DIR`, else on the `PATH`. Where it is not,
/// the caller's test is skipped as [`skip`] does it.
///
/// # Panics
/// With `DIGITS_FORBID_SKIP=1`.
#[must_use]
pub fn program(name: &str, test: &str) -> Option<PathBuf> {
    let named = env::var_os("DIGITS_PROMETHEUS_DIR").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = named
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file());
    if found.is_none() {
        let missing = format!(
            "{name} is missing: `make test-pair` fetches it, or DIGITS_PROMETHEUS_DIR names its folder"
        );
        skip(test, &missing);
    }
    found
}

/// A running Prometheus with the configuration of `deploy/prometheus`; killed when dropped.
pub struct Prometheus {
    child: Child,
    dir: PathBuf,
    address: String,
    agent: Agent,
}

impl Prometheus {
    /// Starts it in `dir` with the repository's configuration, but an interval of a second and no
    /// targets yet.
    pub async fn start(program: &Path, dir: &Path) -> Result<Self> {
        let dir = dir.join("prometheus");
        fs::create_dir_all(dir.join("targets"))?;
        let configuration = text("deploy/prometheus/prometheus.yml")?;
        ensure!(configuration.matches("_interval: 15s").count() == 2);
        let configuration = configuration.replace("_interval: 15s", "_interval: 1s");
        fs::write(dir.join("prometheus.yml"), configuration)?;
        for rules in ["rules.yml", "alerts.yml"] {
            fs::write(
                dir.join(rules),
                text(&format!("deploy/prometheus/{rules}"))?,
            )?;
        }
        for job in ["trainer", "inference"] {
            fs::write(dir.join(format!("targets/{job}.yml")), "[]")?;
        }
        let log = dir.join("log");
        let output = File::create(&log)?;
        let child = Command::new(program)
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg("--web.listen-address=127.0.0.1:0")
            .arg("--web.enable-remote-write-receiver")
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let agent = Agent::config_builder()
            .timeout_global(Some(patience()))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .new_agent();
        let mut prometheus = Self {
            child,
            dir,
            address: String::new(),
            agent,
        };
        prometheus.address = until("Prometheus is ready", async || {
            let text = fs::read_to_string(&log)?;
            if let Some(status) = prometheus.child.try_wait()? {
                bail!("Prometheus ended with {status}:\n{text}");
            }
            let ready = text.contains("Server is ready to receive web requests");
            Ok(listens_at(&text).filter(|_| ready))
        })
        .await?;
        Ok(prometheus)
    }

    /// Where samples are pushed to.
    #[must_use]
    pub fn remote_write(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    /// From now on scrapes `address`, `host:port` of an admin port, as `job`: `trainer` or
    /// `inference`.
    pub fn scrape(&self, job: &str, address: &str) -> Result<()> {
        let targets = self.dir.join("targets");
        let new = targets.join(format!(".{job}"));
        fs::write(&new, format!("- targets: [\"{address}\"]\n"))?;
        fs::rename(new, targets.join(format!("{job}.yml")))?;
        Ok(())
    }

    /// The result of a query at the present moment.
    pub fn query(&self, query: &str) -> Result<Vec<Value>> {
        let data = self.get("query", &[("query", query)])?;
        series(&data["result"])
    }

    /// The result of a query over a time; times and step in seconds.
    pub fn query_range(&self, query: &str, from: f64, to: f64, step: f64) -> Result<Vec<Value>> {
        let number = |value: f64| format!("{value:.3}");
        let (from, to, step) = (number(from), number(to), number(step));
        let parameters = [
            ("query", query),
            ("start", from.as_str()),
            ("end", to.as_str()),
            ("step", step.as_str()),
        ];
        series(&self.get("query_range", &parameters)?["result"])
    }

    /// Values of a label of the series that a selector finds.
    pub fn label_values(&self, label: &str, selector: &str) -> Result<Vec<Value>> {
        series(&self.get(&format!("label/{label}/values"), &[("match[]", selector)])?)
    }

    /// `data` of an answer of the HTTP API.
    pub fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let url = format!("http://{}/api/v1/{path}", self.address);
        let request = self.agent.get(url).query_pairs(parameters.iter().copied());
        let text = request.call()?.body_mut().read_to_string()?;
        let mut answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        ensure!(answer["status"] == "success", "{parameters:?}: {answer}");
        Ok(answer["data"].take())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Its port, from its log.
fn listens_at(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("Listening on"))?;
    let address = line.split("address=").nth(1)?.split_whitespace().next()?;
    Some(address.to_owned())
}

fn series(value: &Value) -> Result<Vec<Value>> {
    Ok(value.as_array().context("a list")?.clone())
}
