//! Arguments of the commands about checkpoints and what is served.

use clap::Args;

/// Whom to ask for checkpoints and serving records.
#[derive(Debug, Args)]
pub struct At {
    /// Work on this storage instead of asking the trainer, which need not run: file:///folder, a folder's path or
    /// s3://bucket/prefix (AWS_* for the credentials).
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,
}

impl At {
    /// The trainer.
    pub const TRAINER: Self = Self { storage: None };
}

#[derive(Debug, Args)]
pub struct Checkpoints {
    /// Show this checkpoint in detail.
    pub checkpoint: Option<String>,
    /// Only checkpoints of this model.
    #[arg(long, default_value = "")]
    pub model: String,
    /// Only checkpoints of this job.
    #[arg(long, default_value = "")]
    pub job: String,
    /// Checkpoints at the most, newest first.
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, Args)]
pub struct Serving {
    /// Which model.
    #[arg(default_value = "digits")]
    pub model: String,
    /// Records at the most, newest first.
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
    #[command(flatten)]
    pub at: At,
}

/// What the commands that change what serves have in common.
#[derive(Debug, Args)]
pub struct Change {
    /// Which model.
    #[arg(long, default_value = "digits")]
    pub model: String,
    /// Sequence of the newest record that you saw; where it is not given, the newest there is.
    #[arg(long, value_name = "SEQUENCE")]
    pub expected_sequence: Option<u64>,
    /// Who asks, for the record.
    #[arg(long, env = "USER", default_value = "")]
    pub by: String,
}

#[derive(Debug, Args)]
pub struct Promote {
    /// Id of the checkpoint.
    pub checkpoint: String,
    /// Answer only this share of the requests, as a canary.
    #[arg(long, value_name = "SHARE")]
    pub canary: Option<f64>,
    /// Compute along, but never answer.
    #[arg(long, conflicts_with = "canary")]
    pub shadow: bool,
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, Args)]
pub struct Rollback {
    /// Sequence of the record to serve again; 0 for the newest one before that names another primary.
    #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
    pub to: u64,
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, Args)]
pub struct Drop {
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, Args)]
pub struct Release {
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub at: At,
}
