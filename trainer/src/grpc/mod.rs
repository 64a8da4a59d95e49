//! The gRPC services of the trainer: they check requests, convert between messages and domain
//! types, and map errors to status codes (`errors.rs`).

mod checkpoint;
mod dataset_messages;
mod errors;
mod import;
mod import_quota;
mod job_message;
mod page;
mod permissions;
mod report_messages;
mod serving_events;
mod sweep;
mod sweep_messages;
mod training;
mod uninterrupted;
mod watch;

pub use checkpoint::Checkpoints;
pub use import_quota::ImportQuota;
pub use job_message::job_json;
pub(crate) use job_message::job_message;
pub use permissions::ROLES;
pub use sweep::Sweeps;
pub use training::{Training, TrainingContext};
pub use watch::WatchStream;

/// Full names of the services, for health and reflection.
pub const SERVICES: &[&str] = &[
    "digits.v1.TrainingService",
    "digits.v1.CheckpointService",
    "digits.v1.SweepService",
];

/// Methods that request metrics name.
pub const METHODS: &[&str] = &[
    "SubmitJob",
    "GetJob",
    "ListJobs",
    "CancelJob",
    "WatchJob",
    "GetHistory",
    "ListPresets",
    "ListDatasets",
    "SubmitSweep",
    "GetSweep",
    "ListSweeps",
    "CancelSweep",
    "ListCheckpoints",
    "GetCheckpoint",
    "Promote",
    "Rollback",
    "Release",
    "DropCandidates",
    "ListServing",
    "ReportCheckpoint",
    "ImportCheckpoint",
];
