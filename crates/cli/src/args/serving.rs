//! Flags of the commands for checkpoints and serving records.

use super::values::{number, whole};
use clap::Args;
use std::path::PathBuf;

/// Where checkpoints and serving records are read and written.
#[derive(Debug, Args)]
pub struct At {
    /// Work on this storage instead of calling the trainer, which need not run: file:///folder, a
    /// folder's path, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix (credentials
    /// in AWS_*, GOOGLE_* or AZURE_*).
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,
}

impl At {
    /// The trainer.
    pub const TRAINER: Self = Self { storage: None };
}

#[derive(Debug, Args)]
pub struct Checkpoints {
    /// Show this checkpoint in detail: its id, the start of its id, the name of its job, or
    /// `latest`.
    pub checkpoint: Option<String>,
    /// Only checkpoints of this model.
    #[arg(long, default_value = "")]
    pub model: String,
    /// Only checkpoints of this job: its id, the start of its id, its name, or `latest`.
    #[arg(long, default_value = "")]
    pub job: String,
    /// Maximum number of checkpoints, newest first.
    #[arg(long, default_value_t = 50, value_parser = whole::<usize>(0..=u64::from(u32::MAX)))]
    pub limit: usize,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, Args)]
pub struct Serving {
    /// Name of the model.
    #[arg(default_value = "digits")]
    pub model: String,
    /// Maximum number of records, newest first.
    #[arg(long, default_value_t = 50, value_parser = whole::<usize>(0..=u64::from(u32::MAX)))]
    pub limit: usize,
    #[command(flatten)]
    pub at: At,
}

/// Flags of the commands that change what is served.
#[derive(Debug, Args)]
pub struct Change {
    /// Name of the model.
    #[arg(long, default_value = "digits")]
    pub model: String,
    /// Sequence of the serving record that must still be the newest; the current one if not given.
    #[arg(long, value_name = "SEQUENCE", value_parser = whole::<u64>(0..=u64::MAX))]
    pub expected_sequence: Option<u64>,
    /// Who makes the change; stored in the serving record.
    #[arg(long, env = "USER", default_value = "")]
    pub by: String,
}

/// Keys for a change on a storage.
#[derive(Debug, Args)]
pub struct SigningKeys {
    /// With --storage: private key (PEM, Ed25519) that signs the change; needed where the inference
    /// service has --trusted-keys. A trainer signs with its own key.
    #[arg(long, value_name = "FILE", env = "DIGITS_SIGNING_KEY")]
    pub signing_key: Option<PathBuf>,
    /// Public keys (PEM, Ed25519) that are trusted beside --signing-key, such as the one that
    /// signed before.
    #[arg(long, value_name = "FILE", env = "DIGITS_TRUSTED_KEYS")]
    pub trusted_keys: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Promote {
    /// Checkpoint: its id, the start of its id, the name of its job, or `latest` (of the model).
    pub checkpoint: String,
    /// Serve the checkpoint as a canary for this fraction of the requests.
    #[arg(long, value_name = "SHARE", value_parser = number)]
    pub canary: Option<f64>,
    /// Serve the checkpoint as a shadow: it computes on copies of the requests and never answers.
    #[arg(long, conflicts_with = "canary")]
    pub shadow: bool,
    /// With --signing-key: promote the checkpoint even if it has no signature. You vouch for its
    /// content.
    #[arg(long, requires = "storage")]
    pub allow_unsigned: bool,
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub keys: SigningKeys,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, Args)]
pub struct Rollback {
    /// Sequence of the serving record to return to; 0 for the newest earlier one with another
    /// primary.
    #[arg(long, default_value_t = 0, value_name = "SEQUENCE", value_parser = whole::<u64>(0..=u64::MAX))]
    pub to: u64,
    /// With --signing-key: return to the record even if it has no signature. You vouch for its
    /// content.
    #[arg(long, requires = "storage")]
    pub allow_unsigned: bool,
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub keys: SigningKeys,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, Args)]
pub struct Drop {
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub keys: SigningKeys,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, Args)]
pub struct Release {
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub keys: SigningKeys,
    #[command(flatten)]
    pub at: At,
}
