//! Bodies of the fuzz targets that need no libtorch. `fuzz/` runs them on random inputs, the tests
//! of this crate on the inputs in `fuzz/cases`.
//!
//! A body panics where the product is wrong. That an input is refused is no finding; that a service
//! answers it with INTERNAL or UNKNOWN is one.

pub mod call;
mod files;
pub mod generate;
mod paths;
mod requests;
pub mod service;
mod storage;

use paths::repository;
use std::path::PathBuf;

/// A fuzz target.
pub type Target = (&'static str, fn(&[u8]));

/// Every target of this crate, by the name of its file in `fuzz/fuzz_targets`.
pub const TARGETS: &[Target] = &[
    ("manifest", storage::manifest),
    ("safetensors", storage::safetensors),
    ("exam", storage::exam),
    ("serving_record", storage::serving_record),
    ("idx", files::idx),
    ("pictures", files::pictures),
    ("grpc_web", requests::grpc_web),
    ("connect", requests::connect),
    ("oip_tensors", requests::oip_tensors),
    ("rest_json", requests::rest_json),
    ("inference_requests", requests::inference_requests),
];

/// Runs the target of this name among `targets`.
///
/// # Panics
/// When there is none of this name, or on a finding.
pub fn run(targets: &[Target], name: &str, data: &[u8]) {
    let found = targets.iter().find(|(target, _)| *target == name);
    let (_, body) = found.unwrap_or_else(|| panic!("there is no fuzz target {name}"));
    body(data);
}

/// Runs a target on all its inputs in `fuzz/cases`; returns how many there are.
///
/// # Panics
/// On a finding, and when the inputs cannot be read.
#[must_use]
pub fn replay((name, body): Target) -> usize {
    let folder = repository().join("fuzz/cases").join(name);
    let entries = std::fs::read_dir(&folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut cases: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    cases.sort();
    for case in &cases {
        // Shown by a failing test.
        println!("{}", case.display());
        let data = std::fs::read(case);
        body(&data.unwrap_or_else(|error| panic!("{}: {error}", case.display())));
    }
    cases.len()
}
