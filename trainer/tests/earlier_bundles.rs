//! The training and the service continue from resume bundles that an earlier version wrote.
//!
//! The fixtures were left by a trainer that was killed while a job ran, when bundles still named
//! their training by a hash of the plan's `Debug` form. They also pin the names inside a bundle. No
//! test here compares with an uninterrupted run: another processor may round the first part of the
//! training differently.

use clap::Parser as _;
use digits_checkpoint::sha256_hex;
use digits_dataset::{Dataset, mnist::MnistSource};
use digits_telemetry::metrics::Recorder;
use digits_testing::{patience, until};
use digits_trainer::{
    app::App,
    config::Config,
    datasets::Catalog,
    job::JobState,
    metrics, spec,
    train::{
        Bundle, BundlePoint, Observer, Outcome, Plan, PublishFailed, Row, Snapshot, Started, run,
    },
    wire::SpecMessage,
    worker::Bundles,
};
use rusqlite::Connection;
use safetensors::SafeTensors;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// SGD with momentum.
const PLAIN: Fixture = Fixture {
    name: "plain",
    job: "01a22891-e461-74ae-b113-c075d75d66f7",
    step: 5_440,
};
/// AdamW, a moving average of the weights, early stopping and augmentation.
const RICH: Fixture = Fixture {
    name: "rich",
    job: "01a22891-eb4d-71d2-8a7f-d282b7420c4c",
    step: 64,
};

struct Fixture {
    name: &'static str,
    job: &'static str,
    /// Steps done when the bundle was taken.
    step: u64,
}

impl Fixture {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/earlier-bundles")
            .join(self.name)
    }

    /// The training of the job's resolved spec, on one thread.
    fn training(&self) -> (Plan, Arc<Dataset>) {
        let text = fs::read_to_string(self.path().join("resolved.json")).expect("a spec");
        let spec = SpecMessage::from_json(&text).expect("a spec");
        let catalog = Catalog::open(MnistSource::default(), Vec::new()).expect("a catalog");
        let job = spec::plan(&spec.request(), &catalog).expect("a plan");
        let data = catalog.load(&job.dataset).expect("drawn digits");
        let plan = Plan {
            max_threads: 1,
            ..job.train
        };
        (plan, data)
    }

    fn bundle(&self) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&self.path().join("state"), &folder.path().join("state"));
        let bundles = Bundles::open(&folder.path().join("state")).expect("opened");
        let job = self.job.parse().expect("a job id");
        let found = bundles.read(job, |reason| panic!("{reason}"));
        let found = found.expect("a bundle");
        assert_eq!(found.step, self.step);
        found.bytes
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copied");
        }
    }
}

/// Stops after some steps and takes a bundle there.
struct Stop {
    steps_left: usize,
    started: Option<Started>,
    bundle: Option<Bundle>,
}

impl Observer for Stop {
    fn started(&mut self, started: &Started) {
        self.started = Some(started.clone());
    }

    fn row(&mut self, _: &Row) {}

    fn progress(&mut self, _: u64) {
        self.steps_left -= 1;
    }

    fn snapshot(&mut self, _: Snapshot) -> Result<(), PublishFailed> {
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.steps_left == 0
    }

    fn wants_bundle(&self, moment: BundlePoint) -> bool {
        moment == BundlePoint::Stop
    }

    fn bundle(&mut self, bundle: Bundle) {
        self.bundle = Some(bundle);
    }
}

/// Continues from a bundle for `steps` steps; returns the step at which it began and the bundle at
/// the end.
fn resume(plan: &Plan, data: &Dataset, bundle: &[u8], steps: usize) -> (u64, Vec<u8>) {
    let mut observer = Stop {
        steps_left: steps,
        started: None,
        bundle: None,
    };
    let outcome: Outcome = run(plan, data, Some(bundle), &mut observer).expect("continued");
    let started = observer.started.expect("started").steps_done;
    assert_eq!(outcome.steps, started + steps as u64);
    (started, observer.bundle.expect("a bundle").encode())
}

/// The content of a bundle: digests of its tensors and its JSON by name, without measured times.
#[derive(Debug, PartialEq)]
struct Content {
    tensors: BTreeMap<String, String>,
    figures: Map<String, Value>,
}

impl Content {
    fn of(bundle: &[u8]) -> Self {
        let (_, header) = SafeTensors::read_metadata(bundle).expect("a bundle");
        let metadata = header.metadata().as_ref().expect("metadata");
        let mut figures: Map<String, Value> =
            serde_json::from_str(&metadata["figures"]).expect("figures");
        figures.remove("clock");
        let tensors = SafeTensors::deserialize(bundle).expect("a bundle");
        let tensors = tensors.iter();
        Self {
            tensors: tensors
                .map(|(name, tensor)| (name.to_owned(), sha256_hex(tensor.data())))
                .collect(),
            figures,
        }
    }

    fn fingerprint(&mut self) -> Value {
        self.figures.remove("of").expect("a fingerprint")
    }

    /// Without what drawing the order of an epoch changes.
    fn before_an_order(mut self) -> Self {
        self.tensors.remove("generator").expect("a generator");
        self.figures["progress"]["order"] = Value::Null;
        self
    }
}

#[test]
fn a_training_continues_from_an_earlier_bundle_with_its_whole_state() {
    for fixture in [PLAIN, RICH] {
        let (plan, data) = fixture.training();
        let old = fixture.bundle();
        let (started, saved_again) = resume(&plan, &data, &old, 0);
        assert_eq!(started, fixture.step, "{}", fixture.name);
        let (mut before, mut after) = (Content::of(&old), Content::of(&saved_again));
        assert_ne!(before.fingerprint(), after.fingerprint());
        assert_eq!(before.before_an_order(), after.before_an_order());

        // Beyond the end of an epoch.
        let steps = 40;
        let (_, from_old) = resume(&plan, &data, &old, steps);
        let (started, from_new) = resume(&plan, &data, &saved_again, steps);
        assert_eq!(started, fixture.step, "{}", fixture.name);
        assert_eq!(Content::of(&from_old), Content::of(&from_new));
        assert_ne!(Content::of(&from_new), Content::of(&saved_again));
    }
}

#[test]
fn an_earlier_bundle_of_another_training_is_refused() {
    let (plan, data) = PLAIN.training();
    for other in [
        Plan {
            seed: 4,
            ..plan.clone()
        },
        Plan {
            calibrate: true,
            ..plan
        },
    ] {
        let mut observer = Stop {
            steps_left: 1,
            started: None,
            bundle: None,
        };
        let refused = run(&other, &data, Some(&PLAIN.bundle()), &mut observer);
        let error = refused.expect_err("refused").to_string();
        assert!(error.contains("another training"), "{error}");
    }
}

/// A trainer in this process, on free ports.
struct Trainer {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), digits_service::Error>>,
}

impl Trainer {
    async fn start(folder: &Path, recorder: Recorder) -> Self {
        let path = |name: &str| folder.join(name).display().to_string();
        let config = Config::try_parse_from([
            "digits-trainer",
            "--listen=127.0.0.1:0",
            "--admin-listen=127.0.0.1:0",
            "--shutdown-delay=0",
            &format!("--shutdown-grace={}s", patience().as_secs_f64()),
            &format!("--storage={}", path("storage")),
            &format!("--state={}", path("state")),
        ]);
        let app = App::bind(config.expect("flags"), recorder)
            .await
            .expect("bound");
        let stop = CancellationToken::new();
        let task = tokio::spawn(app.run(stop.clone()));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("a clean end");
    }
}

/// The value of a counter, 0 before it was recorded.
fn counter(recorder: &Recorder, series: &str) -> u64 {
    let text = recorder.render();
    let value = text.lines().find_map(|line| line.strip_prefix(series));
    value.map_or(0, |value| value.trim().parse().expect("a number"))
}

/// What the database of a trainer that is not running holds of its one job.
fn state_of_the_job(folder: &Path) -> JobState {
    let database = Connection::open(folder.join("state/jobs.sqlite3")).expect("opened");
    let state = database.query_row("SELECT state FROM jobs", (), |row| row.get(0));
    JobState::from_number(state.expect("one job")).expect("a state")
}

/// Alone in its process with a recorder: counters are the process's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_continues_the_job_of_an_earlier_version() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&RICH.path().join("state"), &folder.path().join("state"));
    let recorder = metrics::install().expect("installed");
    let resumed = r#"digits_trainer_job_attempts_total{from="bundle"}"#;
    let anew = r#"digits_trainer_job_attempts_total{from="start"}"#;
    let refused = r#"digits_trainer_bundle_failures_total{operation="read"}"#;
    // The first one continues from the old bundle and writes a new one, the second from that,
    // unless the job has ended before the first one was stopped.
    for attempt in 1..=2 {
        let trainer = Trainer::start(folder.path(), recorder.clone()).await;
        until("the job continues", async || {
            let begun = counter(&recorder, resumed) + counter(&recorder, anew);
            Ok((begun >= attempt).then_some(()))
        })
        .await
        .expect("in time");
        trainer.stop().await;
        assert_eq!(counter(&recorder, resumed), attempt);
        assert_eq!(counter(&recorder, anew), 0);
        assert_eq!(counter(&recorder, refused), 0);
        match state_of_the_job(folder.path()) {
            JobState::Queued => {}
            JobState::Succeeded => break,
            other => panic!("the job is {other:?} after attempt {attempt}"),
        }
    }
}
