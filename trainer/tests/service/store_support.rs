//! A job database in a scratch folder, for the tests of it.

use digits_dataset::mnist::MnistSource;
use digits_proto::v1::{SweepSpec, WatchJobResponse};
use digits_telemetry::{liveness::Liveness, supervisor::Supervisor};
use digits_testing::until;
use digits_trainer::{
    datasets::Catalog,
    job::{CurveRow, JobId},
    spec::resolve,
    store::{Job, NewJob, NewSweep, Store, StoreError, Submitted},
    sweep::{NewTrial, Rung, SweepId},
    wire::{SpecMessage, SweepMessage},
};
use prost::Message as _;
use std::{path::Path, time::Duration};

pub const SECOND: Duration = Duration::from_secs(1);

pub fn supervisor() -> Supervisor {
    Supervisor::new("digits_trainer", Liveness::default())
}

pub struct Database {
    pub store: Store,
    pub runtime: tokio::runtime::Runtime,
}

impl Database {
    /// Opens it, waiting until the last owner has closed it.
    pub fn open(folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let supervisor = supervisor();
        let opened = until("the folder is free", async || {
            match Store::open(folder, &supervisor) {
                Ok(store) => Ok(Some(store)),
                Err(StoreError::Folder { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        });
        let store = runtime.block_on(opened).expect("opened");
        Self { store, runtime }
    }

    pub fn submit(&self, request_id: &str) -> Job {
        match self
            .runtime
            .block_on(self.store.submit(new_job(request_id), 10))
        {
            Ok(Submitted::New(job) | Submitted::Existing(job)) => *job,
            Err(error) => panic!("{error}"),
        }
    }

    pub fn job(&self, id: JobId) -> Job {
        self.runtime.block_on(self.store.job(id)).expect("the job")
    }

    pub fn append(&self, id: JobId, rows: Vec<CurveRow>, spent: Duration) {
        let appending = self.store.append_rows(id, rows, spent);
        self.runtime.block_on(appending).expect("rows");
    }

    pub fn record_bundle(&self, id: JobId, step: u64) {
        let recording = self.store.record_bundle(id, step, SECOND);
        self.runtime.block_on(recording).expect("recorded");
    }

    pub fn events(&self, id: JobId) -> Vec<WatchJobResponse> {
        let (events, _) = self
            .runtime
            .block_on(self.store.events_after(id, 0))
            .expect("events");
        events
            .into_iter()
            .map(|event| WatchJobResponse::decode(event.message.as_slice()).expect("a message"))
            .collect()
    }

    pub fn steps(&self, id: JobId) -> Vec<u64> {
        let sampled = self
            .runtime
            .block_on(self.store.history(id, 1_000))
            .expect("history");
        sampled.rows.iter().map(|row| row.step).collect()
    }
}

pub fn spec(json: &str) -> SpecMessage {
    SpecMessage::from_json(json).expect("a spec")
}

pub fn new_job(request_id: &str) -> NewJob {
    let requested = spec(
        r#"{"name": "name", "labels": {"a": "b"}, "data": {"dataset": "synthetic"}, "device": "cpu"}"#,
    );
    new_job_of(request_id, requested)
}

/// A sweep with this many trials, of one rung.
pub fn new_sweep(request_id: &str, trials: u32) -> NewSweep {
    let id = SweepId::generate();
    let job = spec(r#"{"data": {"dataset": "synthetic"}, "device": "cpu"}"#);
    let trials = (1..=trials).map(|number| NewTrial {
        number,
        configuration: number,
        values: vec![number.to_string()],
        seed: 17,
        epochs: 1,
        spec: job.of_trial(&id.to_string(), number),
    });
    let trials: Vec<NewTrial> = trials.collect();
    NewSweep {
        id,
        request_id: request_id.to_owned(),
        message: SweepMessage::from(SweepSpec::default()),
        name: String::new(),
        model: "digits".to_owned(),
        fields: vec!["batch_size".to_owned()],
        rungs: vec![Rung {
            epochs: 0,
            configurations: trials.len() as u32,
        }],
        trials,
        parent: None,
        submitted_by: String::new(),
    }
}

pub fn new_job_of(request_id: &str, requested: SpecMessage) -> NewJob {
    let catalog = Catalog::open(MnistSource::default(), Vec::new()).expect("no folder");
    let resolved = resolve(&requested.request(), &catalog, None).expect("resolves");
    NewJob {
        request_id: request_id.to_owned(),
        requested,
        resolved,
        traceparent: String::new(),
        submitted_by: String::new(),
        quota: None,
    }
}
