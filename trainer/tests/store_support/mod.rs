//! What the tests of the job database share.
#![allow(dead_code, reason = "each test uses its part")]

use digits_proto::v1::WatchJobResponse;
use digits_telemetry::{liveness::Liveness, supervisor::Supervisor};
use digits_trainer::{
    job::{JobId, NetworkSize},
    store::{Job, NewJob, Store, Submitted},
};
use prost::Message as _;
use std::{path::Path, time::Duration, time::Instant};

pub const SECOND: Duration = Duration::from_secs(1);

pub fn supervisor() -> Supervisor {
    Supervisor::new("digits_trainer", Liveness::default())
}

pub struct Database {
    pub store: Store,
    pub runtime: tokio::runtime::Runtime,
}

impl Database {
    /// Opens it, waiting for the last owner to let go.
    pub fn open(folder: &Path) -> Self {
        let begun = Instant::now();
        let store = loop {
            match Store::open(folder, &supervisor()) {
                Ok(store) => break store,
                Err(error) if begun.elapsed() > Duration::from_secs(30) => panic!("{error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        Self { store, runtime }
    }

    pub fn submit(&self, request_id: &str) -> Job {
        match self
            .runtime
            .block_on(self.store.submit(new_job(request_id), 10))
        {
            Ok(Submitted::New(job) | Submitted::Before(job)) => *job,
            Err(error) => panic!("{error}"),
        }
    }

    pub fn job(&self, id: JobId) -> Job {
        self.runtime.block_on(self.store.job(id)).expect("the job")
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

pub fn new_job(request_id: &str) -> NewJob {
    NewJob {
        request_id: request_id.to_owned(),
        request_key: vec![1, 2, 3],
        requested: Vec::new(),
        resolved: Vec::new(),
        name: "name".to_owned(),
        labels: [("a".to_owned(), "b".to_owned())].into(),
        epochs: 2,
        steps: 20,
        network: NetworkSize {
            parameters: 1,
            parameter_bytes: 4,
            multiply_adds: 1,
            activation_bytes: 4,
        },
        parent: None,
        traceparent: String::new(),
    }
}
