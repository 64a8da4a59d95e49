//! The service through its gRPC API, its command line and its job database.
//!
//! The tests share one process and run in parallel threads. Each has its own state folder, storage
//! and ports. What belongs to a process, such as the metrics recorder, the log and exit codes, is
//! tested in a child process (`interruptions`, `metrics`, `run`).

mod bad_input;
mod checkpoints;
mod child;
mod datasets;
mod fine_tune;
mod full_disk;
mod fuzz_cases;
mod import;
mod interruptions;
mod jobs;
mod journal;
mod lists;
mod locked_database;
mod lost_database;
mod metrics;
mod mlflow;
mod mlflow_server;
mod outages;
mod promotion;
mod queue;
mod report;
mod roles;
mod run;
mod storage;
mod store;
mod store_crashes;
mod store_runs;
mod store_support;
mod store_sweeps;
mod support;
mod sweeps;
mod traces;
mod webhook_tls;
mod webhooks;
