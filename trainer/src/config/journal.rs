//! Flags of the journal, by which the service comes up on another node.

use clap::Args;
use digits_checkpoint::journal::{InvalidName, TrainerName};
use digits_service::parse_duration;
use std::time::Duration;

/// Flags of the journal; only the service has one.
#[derive(Clone, Debug, Args)]
pub struct JournalFlags {
    /// Store every change of the job database on the shared storage before it is accepted, so that
    /// the trainer comes up on another node with all its jobs. While the storage fails nothing is
    /// accepted. Needs --trainer-name.
    #[arg(long, env = "DIGITS_JOURNAL", requires = "trainer_name")]
    pub journal: bool,
    /// Name of this trainer, the folder of its journal on the storage: 1 to 63 lower-case letters,
    /// digits and inner hyphens. Each trainer that uses the storage has its own.
    #[arg(long, env = "DIGITS_TRAINER_NAME", value_parser = parse_name)]
    pub trainer_name: Option<TrainerName>,
    /// Time without any entry in the journal after which its trainer counts as lost and another
    /// process takes over, 1s or more; a trainer writes at least three times within it.
    #[arg(long, env = "DIGITS_JOURNAL_LEASE", default_value = "30s", value_parser = parse_duration)]
    pub journal_lease: Duration,
    /// Take over from the process that holds the journal without waiting for --journal-lease. For one
    /// start, when that process is known to be lost; if it lives, it stops.
    #[arg(long, env = "DIGITS_RECOVER_FROM_STORAGE", requires = "journal")]
    pub recover_from_storage: bool,
}

impl JournalFlags {
    /// No journal.
    pub(crate) fn off() -> Self {
        Self {
            journal: false,
            trainer_name: None,
            journal_lease: Duration::from_secs(30),
            recover_from_storage: false,
        }
    }
}

fn parse_name(text: &str) -> Result<TrainerName, InvalidName> {
    text.parse()
}
