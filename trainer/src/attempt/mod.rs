//! What trainer and worker tell each other about an attempt that trains outside the trainer's
//! process: its record and the reports of its worker, which [`crate::wire`] encodes, and drafts of
//! checkpoints.

mod draft;
mod record;
mod report;

pub use draft::{UnreadableDraft, draft_files, draft_from};
pub use record::{AttemptRecord, ResumePoint};
pub use report::{AttemptReport, BundleReport, DraftReport, Report, TrainingFacts, WorkerEnd};
