//! Quotas of one client, so that none takes the trainer from the others: jobs in the queue,
//! imports, and bytes of imported files. Clients that need not prove who they are count as one.

use clap::Args;
use digits_service::parse_whole;

/// Quotas of each client.
#[derive(Clone, Debug, Default, Args)]
pub struct Quotas {
    /// Maximum number of queued jobs of one client, by the name of its token, JWT or certificate;
    /// further jobs are refused. Default: --queue-capacity alone limits them.
    #[arg(long, env = "DIGITS_QUOTA_QUEUED_JOBS", value_name = "JOBS", value_parser = parse_whole::<u64>(1..=100_000))]
    pub quota_queued_jobs: Option<u64>,
    /// Maximum number of checkpoints that one client imports within 24 hours; further imports are
    /// refused. Default: no limit.
    #[arg(long, env = "DIGITS_QUOTA_IMPORTS", value_name = "IMPORTS", value_parser = parse_whole::<u64>(1..=1_000_000))]
    pub quota_imports: Option<u64>,
    /// Maximum size of all files that one client sends for imports within 24 hours, in bytes, also
    /// of those that were refused; further imports are refused. Default: no limit.
    #[arg(long, env = "DIGITS_QUOTA_IMPORT_BYTES", value_name = "BYTES", value_parser = parse_whole::<u64>(1..=u64::MAX))]
    pub quota_import_bytes: Option<u64>,
}

/// A quota that a client has used up. The client reads the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaExceeded {
    /// Jobs in the queue.
    #[error(
        "{0} jobs of this client wait in the queue, which is its quota: submit further ones when one of them has started, or cancel one"
    )]
    QueuedJobs(u64),
    /// Imports within a day.
    #[error(
        "this client has imported {0} checkpoints within 24 hours, which is its quota: import further ones later, or ask the operators of the trainer for a larger quota"
    )]
    Imports(u64),
    /// Bytes of imported files within a day.
    #[error(
        "the files that this client sent for imports within 24 hours, with this one, have more than {0} bytes, which is its quota: import it later, or ask the operators of the trainer for a larger quota"
    )]
    ImportBytes(u64),
}

impl QuotaExceeded {
    /// The label of each quota in metrics.
    pub const LABELS: [&str; 3] = ["queued_jobs", "imports", "import_bytes"];

    /// Its label in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::QueuedJobs(_) => "queued_jobs",
            Self::Imports(_) => "imports",
            Self::ImportBytes(_) => "import_bytes",
        }
    }
}
