//! Both services under a Prometheus with the configuration of `deploy/prometheus`: every query of
//! every panel, variable, annotation and rule returns series while a job runs and `Predict` is
//! called. Alerts get their fault, or are listed in [`UNLIT`].

mod evidence;
mod query;
mod traffic;

use crate::support::{
    damage,
    dashboards::all,
    metric_names::{OF_A_GPU, documented, mentioned},
    prometheus,
    prometheus::Prometheus,
};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{
    GetModelRequest, Job, JobSpec, JobState, LimitsSpec, PromoteRequest, ServedCheckpoint,
    ServingRole,
};
use digits_testing::{patience, until};
use query::run;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, time::Duration};
use tonic::Code;
use traffic::{MAX_IN_FLIGHT, crowd};

/// Alerts whose fault would take minutes, another machine or a bug. Their unit tests fire them;
/// here each metric that they read must exist.
const UNLIT: [&str; 19] = [
    "DigitsMetricMissing",
    "DigitsTaskDied",
    "DigitsReplicasDisagree",
    "DigitsStorageUnreadable",
    "DigitsStorageFault",
    "DigitsUntrustedRecord",
    "DigitsDatabaseLost",
    "DigitsJournalFailing",
    "DigitsPublishingStalled",
    "DigitsQueueStands",
    "DigitsLatencyHigh",
    "DigitsConnectionsRefused",
    "DigitsBytesRefused",
    "DigitsClientsStall",
    "DigitsPicturesWait",
    "DigitsWebhookDown",
    "DigitsWebhookEventsDropped",
    "DigitsTrackerDown",
    "DigitsTrackerDropped",
];

/// The services, their Prometheus, and the alerts that have fired.
struct Watched {
    sandbox: Sandbox,
    prometheus: Prometheus,
    /// Name and expression of every alert.
    alerts: Vec<(String, String)>,
    lit: BTreeSet<String>,
}

impl Watched {
    async fn start(program: &Path) -> Result<Self> {
        let mut sandbox = Sandbox::new(patience())?;
        let prometheus = Prometheus::start(program, sandbox.dir()).await?;
        let push = prometheus.remote_write();
        sandbox
            .start_trainer(&["--remote-write", &push, "--queue-capacity", "1"])
            .await?;
        sandbox
            .start_inference(&["--max-in-flight", &MAX_IN_FLIGHT.to_string()])
            .await?;
        prometheus.scrape("trainer", sandbox.trainer()?.admin())?;
        prometheus.scrape("inference", sandbox.inference()?.admin())?;
        let alerts = rules(&prometheus)?
            .into_iter()
            .filter(|rule| rule["type"] == "alerting")
            .map(|rule| Some((text(&rule["name"])?, text(&rule["query"])?)));
        let alerts = alerts.collect::<Option<Vec<(String, String)>>>();
        Ok(Self {
            sandbox,
            prometheus,
            alerts: alerts.context("alerts")?,
            lit: BTreeSet::new(),
        })
    }

    /// Waits until the expression of an alert returns a series.
    async fn lights(&mut self, name: &str) -> Result<()> {
        let alert = self.alerts.iter().find(|(one, _)| one == name);
        let (_, expression) = alert.with_context(|| format!("there is no alert {name}"))?;
        until(name, async || {
            Ok((!self.prometheus.query(expression)?.is_empty()).then_some(()))
        })
        .await?;
        self.lit.insert(name.to_owned());
        Ok(())
    }

    /// The job's first checkpoint, which is the worst, is served again from now on.
    async fn fall_back(&mut self, job: &Job) -> Result<()> {
        // The best must have been scraped, to be seen as better.
        let newest = job.checkpoint_ids.len();
        let best = format!("digits_inference_model_sequence{{role=\"primary\"}} >= {newest}");
        until(&best, async || {
            Ok((!self.prometheus.query(&best)?.is_empty()).then_some(()))
        })
        .await?;
        let worst = job.checkpoint_ids.first();
        self.promote(worst, ServingRole::Primary, None).await?;
        self.lights("DigitsServedAccuracyDropped").await
    }

    /// Two later checkpoints of the job become canary and shadow.
    async fn try_out(&self, job: &Job) -> Result<()> {
        let mut ids = job.checkpoint_ids.iter().skip(1);
        self.promote(ids.next(), ServingRole::Canary, Some(0.4))
            .await?;
        self.promote(ids.next(), ServingRole::Shadow, None).await
    }

    /// Promotes a checkpoint, and waits until it serves.
    async fn promote(
        &self,
        id: Option<&String>,
        role: ServingRole,
        share: Option<f64>,
    ) -> Result<()> {
        let checkpoint_id = id.context("a checkpoint")?.clone();
        let mut checkpoints = self.sandbox.checkpoints().await?;
        let mut inference = self.sandbox.predict().await?;
        until("the promotion", async || {
            // The replica may not have read the newest record yet.
            let model = inference.get_model(GetModelRequest::default()).await?;
            let request = PromoteRequest {
                model: "digits".to_owned(),
                checkpoint_id: checkpoint_id.clone(),
                expected_sequence: model.get_ref().head_sequence,
                role: role.into(),
                share,
                by: "watching".to_owned(),
            };
            match checkpoints.promote(request).await {
                Err(status) if status.code() == Code::Aborted => Ok(None),
                answer => Ok(Some(answer?)),
            }
        })
        .await?;
        until("the promoted checkpoint", async || {
            let model = inference.get_model(GetModelRequest::default()).await?;
            let served = model.into_inner().served;
            let is_it = |it: &ServedCheckpoint| {
                it.role() == role
                    && it
                        .checkpoint
                        .as_ref()
                        .is_some_and(|it| it.checkpoint_id == checkpoint_id)
            };
            Ok(served.iter().any(is_it).then_some(()))
        })
        .await
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn rules(prometheus: &Prometheus) -> Result<Vec<Value>> {
    let groups = prometheus.get("rules", &[])?;
    let groups = groups["groups"].as_array().context("groups")?;
    let rules = groups.iter().filter_map(|group| group["rules"].as_array());
    Ok(rules.flatten().cloned().collect())
}

/// A job that fails, because its deadline passes.
fn overdue() -> JobSpec {
    JobSpec {
        limits: Some(LimitsSpec {
            deadline: Duration::from_nanos(1).try_into().ok(),
        }),
        ..specs::synthetic(100)
    }
}

/// Files with a certificate that has expired, its key, and a token.
fn credentials(dir: &Path) -> Result<[String; 3]> {
    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params.not_after = date_time_ymd(2020, 1, 1);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    let written = |name: &str, content: &str| -> Result<String> {
        let file = dir.join(name);
        fs::write(&file, content)?;
        Ok(file.display().to_string())
    };
    Ok([
        written("expired.crt", &certificate)?,
        written("expired.key", &key.serialize_pem())?,
        written("tokens", "ci secret\n")?,
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_finds_its_series() -> Result<()> {
    let name = "every_query_finds_its_series";
    let Some(program) = prometheus::program("prometheus", name) else {
        return Ok(());
    };
    let mut watched = Watched::start(&program).await?;
    let traffic = traffic::start(&watched.sandbox).await?;
    // Nothing is served yet, so every request fails.
    for alert in [
        "DigitsNoCheckpointServed",
        "DigitsErrorBudgetBurnsFast",
        "DigitsErrorBudgetBurnsSlowly",
    ] {
        watched.lights(alert).await?;
    }
    let mut training = watched.sandbox.training().await?;
    let job = jobs::run(&mut training, specs::synthetic(3)).await?;
    watched.fall_back(&job).await?;
    watched.try_out(&job).await?;
    for _ in 0..4 {
        let late = jobs::submit(&mut training, overdue()).await?;
        let late = jobs::watch(&mut training, &late.job_id, |_| {}).await?;
        assert_eq!(late.state(), JobState::Failed, "{late:?}");
    }
    watched.lights("DigitsJobsFailing").await?;
    watched.lights("DigitsLiveAccuracyDropped").await?;
    damage::republish(&watched.sandbox, |files| {
        if let Some(byte) = files.model.last_mut() {
            *byte ^= 1;
        }
    })?;
    watched.lights("DigitsReloadFailing").await?;
    let crowd = crowd(&watched.sandbox).await?;
    watched.lights("DigitsRequestsRefused").await?;
    drop(crowd);

    let running = jobs::submit(&mut training, specs::synthetic(10_000)).await?;
    until("the begin of a job", async || {
        let job = jobs::get(&mut training, &running.job_id).await?;
        Ok((job.state() == JobState::Running).then_some(()))
    })
    .await?;
    every_query_of_the_dashboards(&watched.prometheus).await?;
    evidence::keep(&watched.prometheus)?;
    every_rule(&watched).await?;

    // One job runs and one is queued: the queue is full.
    jobs::submit(&mut training, specs::synthetic(10_000)).await?;
    watched.lights("DigitsQueueFull").await?;
    // The same trainer again, which now pushes to a closed port; the running job resumes.
    let nowhere = watched
        .prometheus
        .remote_write()
        .replace("write", "nowhere");
    watched.sandbox.take_trainer()?.stop().await?;
    let [certificate, key, tokens] = credentials(watched.sandbox.dir())?;
    let trainer = watched
        .sandbox
        .start_trainer(&[
            "--remote-write",
            &nowhere,
            "--retention-interval",
            "1s",
            "--tls-certificate-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--token-file",
            &tokens,
        ])
        .await?;
    watched.prometheus.scrape("trainer", trainer.admin())?;
    watched.lights("DigitsCurvePointsDropped").await?;
    watched.lights("DigitsCertificateExpires").await?;
    fs::write(&tokens, "")?;
    watched.lights("DigitsCredentialsReloadFailing").await?;
    damage::unreadable_record(&watched.sandbox)?;
    watched.lights("DigitsRetentionFailing").await?;
    drop(traffic);
    watched.sandbox.take_inference()?.stop().await?;
    watched.lights("DigitsTargetDown").await?;

    let expected = watched.alerts.iter().map(|(name, _)| name.clone());
    let expected = expected.filter(|name| !UNLIT.contains(&name.as_str()));
    assert_eq!(watched.lit, expected.collect::<BTreeSet<String>>());
    watched.sandbox.stop().await
}

/// Sends each query as Grafana does until it returns a series.
async fn every_query_of_the_dashboards(prometheus: &Prometheus) -> Result<()> {
    let mut missing = Vec::new();
    for dashboard in all()? {
        for variable in dashboard.variables() {
            let definition = variable["definition"].as_str().unwrap_or_default();
            let argument = |function| definition.strip_prefix(function)?.strip_suffix(")");
            let found = if let Some(inner) = argument("label_values(") {
                let (selector, label) = inner.rsplit_once(", ").context("two arguments")?;
                !prometheus.label_values(label, selector)?.is_empty()
            } else if let Some(inner) = argument("query_result(") {
                let query = inner.replace("$__range", "1h");
                !prometheus.query(&query)?.is_empty()
            } else {
                variable["type"] == "datasource"
            };
            ensure!(found, "{definition} returns nothing");
        }
        missing.extend(dashboard.queries());
    }
    ensure!(missing.len() > 80, "there are {} queries", missing.len());
    let total = missing.len();
    let all_found = until("series of every query", async || {
        let mut still = Vec::new();
        for query in std::mem::take(&mut missing) {
            let (_, series) = run(prometheus, &query)?;
            if series.is_empty() && !of_gpus_alone(&query.expression)? {
                still.push(query);
            }
        }
        missing = still;
        Ok(missing.is_empty().then_some(()))
    })
    .await;
    all_found.with_context(|| {
        let missing: Vec<String> = missing
            .iter()
            .map(|it| format!("{}: {}", it.place, it.expression))
            .collect();
        format!(
            "{} of {total} queries return nothing:\n{}",
            missing.len(),
            missing.join("\n")
        )
    })
}

/// Whether a query is empty without a GPU.
fn of_gpus_alone(expression: &str) -> Result<bool> {
    let documented = documented("")?;
    let mut names = mentioned(expression).into_iter();
    let of_a_gpu = |name: String| documented.get(&name).is_some_and(|kind| kind == OF_A_GPU);
    Ok(expression.contains("digits_") && names.all(of_a_gpu))
}

/// Rules are evaluated without an error; recorded metrics exist, and so do those that alerts read.
async fn every_rule(watched: &Watched) -> Result<()> {
    let prometheus = &watched.prometheus;
    for rule in rules(prometheus)? {
        let name = text(&rule["name"]).context("a name")?;
        assert_eq!(rule["health"], "ok", "{rule}");
        if rule["type"] == "recording" {
            until(&name, async || {
                Ok((!prometheus.query(&name)?.is_empty()).then_some(()))
            })
            .await?;
        }
    }
    for (name, expression) in &watched.alerts {
        for metric in mentioned(expression) {
            let series = prometheus.query(&metric)?;
            assert!(
                !series.is_empty(),
                "{name} reads {metric}, which is not there"
            );
        }
    }
    Ok(())
}
