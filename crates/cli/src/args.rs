//! The command line.

mod augmentation;
mod dataset;
mod lineage;
mod serving;
mod train;

pub use augmentation::Augmentation;
pub use dataset::{Dataset, ListDatasets, PushDataset, SetPart, ShowDataset};
pub use lineage::{Export, Import, Pictures, Pixels, Reproduce};
pub use serving::{At, Change, Checkpoints, Drop, Promote, Release, Rollback, Serving};
pub use train::{Activation, Optimizer, Precision, Promotion, Publish, Schedule, Train};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Trains small networks on handwritten digits and asks them what they see.
#[derive(Debug, Parser)]
#[command(name = "digits", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 the answer is no (a job failed, a check did not pass, nothing of that name); 64 wrong usage or a
refused request; 66 an input cannot be read; 69 a service or the storage is unreachable or not ready; 70 a service
failed; 73 a file cannot be written; 75 a service is full, try again; 77 a token is missing or not accepted; 130 Ctrl-C
(a watched job goes on).";

#[derive(Debug, Args)]
pub struct Global {
    /// URL of the trainer.
    #[arg(
        long,
        global = true,
        env = "DIGITS_TRAINER",
        default_value = "http://127.0.0.1:50051",
        value_name = "URL",
        help_heading = "Global options"
    )]
    pub trainer: String,
    /// URL of the inference service.
    #[arg(
        long,
        global = true,
        env = "DIGITS_INFERENCE",
        default_value = "http://127.0.0.1:50052",
        value_name = "URL",
        help_heading = "Global options"
    )]
    pub inference: String,
    /// Authorities (PEM) that may have signed the certificates of services at https URLs, instead of the public ones.
    #[arg(
        long,
        global = true,
        env = "DIGITS_TLS_CA_FILE",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub tls_ca_file: Option<PathBuf>,
    /// Certificate chain (PEM) to show to services that ask for one.
    #[arg(
        long,
        global = true,
        env = "DIGITS_TLS_CLIENT_CERTIFICATE_FILE",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub tls_client_certificate_file: Option<PathBuf>,
    /// Key (PEM) of --tls-client-certificate-file.
    #[arg(
        long,
        global = true,
        env = "DIGITS_TLS_CLIENT_KEY_FILE",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub tls_client_key_file: Option<PathBuf>,
    /// File with the bearer token to bring to the services.
    #[arg(
        long,
        global = true,
        env = "DIGITS_CLIENT_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub token_file: Option<PathBuf>,
    /// Longest wait for the answer to a call.
    #[arg(
        long,
        global = true,
        default_value_t = 30.0,
        value_name = "SECONDS",
        help_heading = "Global options"
    )]
    pub timeout: f64,
    /// Print no colours (as NO_COLOR does).
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_color: bool,
    /// Print JSON on standard output: one document, or one per line where there are several.
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Submit a training job and watch it.
    Train(Box<Train>),
    /// List jobs, or show one.
    Jobs(Jobs),
    /// Watch a job to its end.
    Watch(Watch),
    /// Ask a job to stop.
    Cancel(JobId),
    /// List the presets of the trainer.
    Presets,
    /// Push data sets to the storage, list them, and show what is in them.
    #[command(subcommand)]
    Dataset(Dataset),
    /// List the data sets that a job may name, as `digits dataset list` does.
    Datasets(ListDatasets),
    /// Say what is on pictures.
    Predict(Predict),
    /// Measure the served model on a labelled set.
    Evaluate(Evaluate),
    /// Show what is served.
    Model(Model),
    /// List checkpoints, or show one.
    Checkpoints(Checkpoints),
    /// Show what a checkpoint does on test images, as they are and corrupted.
    Report(Report),
    /// Make a checkpoint of a PyTorch state dict.
    Import(Box<Import>),
    /// Write a checkpoint as an ONNX model, or copy its weights.
    Export(Export),
    /// Train a checkpoint again from what it says, and compare the weights.
    Reproduce(Reproduce),
    /// List what served when, and why.
    Serving(Serving),
    /// Serve a checkpoint and hold it there.
    Promote(Promote),
    /// End canary and shadow: the primary answers everything again.
    Drop(Drop),
    /// Serve again what an earlier record named, and hold it.
    Rollback(Rollback),
    /// Lift the hold of a promotion or rollback.
    Release(Release),
    /// Draw the curves of a job, in the terminal or into an SVG or PNG file.
    Plot(Plot),
    /// Check what this machine needs to run digits, and say what is missing.
    Doctor(Doctor),
}

#[derive(Debug, Args)]
pub struct JobId {
    /// Id of the job.
    pub job: String,
}

#[derive(Debug, Args)]
pub struct Jobs {
    /// Show this job in detail.
    pub job: Option<String>,
    /// Only jobs in this state; may be given several times.
    #[arg(long, value_name = "STATE")]
    pub state: Vec<State>,
    /// Only jobs with this label; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = key_value)]
    pub labels: Vec<(String, String)>,
    /// Only jobs of this name.
    #[arg(long)]
    pub name: Option<String>,
    /// Jobs at the most, newest first.
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

#[derive(Debug, Args)]
pub struct Watch {
    /// Id of the job.
    pub job: String,
    /// Only events with a higher sequence number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub after_sequence: u64,
}

#[derive(Debug, Args)]
pub struct Predict {
    /// Picture files, `-` for standard input, or images of a data set such as mnist:test/0.
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<String>,
    /// The shared storage, for images of a pushed data set.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: Option<String>,
    /// Which model.
    #[arg(long, default_value = "")]
    pub model: String,
    /// Show only the so many most probable labels.
    #[arg(long, value_name = "COUNT")]
    pub top: Option<usize>,
    /// Give no label below this probability.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub min_probability: f32,
}

#[derive(Debug, Args)]
pub struct Evaluate {
    /// mnist:test, mnist:train, synthetic:test, a folder of IDX files (its test part), or a pushed data set such as
    /// letters:test or letters@3f9a21c0:train.
    #[arg(default_value = "mnist:test")]
    pub set: String,
    /// The shared storage, for images of a pushed data set.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: Option<String>,
    /// Which model.
    #[arg(long, default_value = "")]
    pub model: String,
    /// Images per batch of the mean over batches.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Images of a request.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub images_per_request: u32,
    /// Requests under way at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub in_flight: u32,
}

#[derive(Debug, Args)]
pub struct Model {
    /// Which model.
    #[arg(default_value = "")]
    pub model: String,
}

#[derive(Debug, Args)]
pub struct Report {
    /// Id of the checkpoint.
    pub checkpoint: String,
    /// PNG file to draw the hardest test images into.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Measure it now even where its manifest has a report.
    #[arg(long)]
    pub again: bool,
}

#[derive(Debug, Args)]
pub struct Plot {
    /// Id of the job.
    pub job: String,
    /// File to write, .svg or .png; without it the plot is drawn in the terminal.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Width of the picture in pixels.
    #[arg(long, default_value_t = 1600, value_parser = clap::value_parser!(u32).range(200..=10000))]
    pub width: u32,
    /// Height of the picture in pixels.
    #[arg(long, default_value_t = 1100, value_parser = clap::value_parser!(u32).range(200..=10000))]
    pub height: u32,
    /// Rows of the curves at the most.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(2..=10000))]
    pub max_rows: u32,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// What this machine is to run; both where neither is named.
    #[arg(value_name = "ROLE")]
    pub roles: Vec<Role>,
    /// Storage to try a write on.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    Trainer,
    Inference,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    if key.is_empty() {
        return Err("the key is empty: write it as KEY=VALUE".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn labels() {
        assert_eq!(key_value("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(key_value("a").is_err() && key_value("=b").is_err());
    }
}
