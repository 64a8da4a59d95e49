//! Bodies of the fuzz targets that link libtorch, as `digits-fuzz` has the others.

mod requests;
mod service;
mod spec;

use digits_fuzz::Target;

/// Every target of this crate, by the name of its file in `fuzz/fuzz_targets`.
pub const TARGETS: &[Target] = &[
    ("job_spec", spec::job_spec),
    ("trainer_requests", requests::trainer_requests),
];
