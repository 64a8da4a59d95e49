//! End-to-end tests of both services, the command-line client, and the files of `deploy/` and
//! `docs/` that describe how to run them.
//!
//! Each test starts its own processes in a temporary folder and on ports chosen by the system, so
//! tests run in parallel, in one process or in several.

mod activations;
mod alerts;
mod bad_checkpoints;
mod bad_input;
mod bucket;
mod clients;
mod command_line;
mod connect;
mod dashboards;
mod dataset_formats;
mod datasets;
mod durable;
mod earlier_formats;
mod executor;
mod hub;
mod imports;
mod journal;
mod kubernetes;
mod lineage;
mod manifests;
mod metrics;
mod mlflow;
mod notebook;
mod operations;
mod page;
mod processes;
mod promotions;
mod pushed_curves;
mod python;
mod secured;
mod serving;
mod signed;
mod soak;
mod support;
mod sweeps;
mod tensorboard;
mod torture;
mod trainer_page;
mod watching;
mod webhooks;
