//! Flags and arguments of `digits`.

mod augmentation;
mod dataset;
mod lineage;
mod serving;
mod signing;
mod sweep;
mod token;
mod train;
mod values;

pub use dataset::{Dataset, ListDatasets, PushDataset, ReadFolder, SetPart, ShowDataset, Switch};
pub use lineage::{BatchNorm, Card, Export, Import, Pictures, Pixels, Reproduce};
pub use serving::{
    At, Change, Checkpoints, Drop, Promote, Release, Rollback, Serving, SigningKeys,
};
pub use signing::{Key, KeyFile, Sign};
pub use sweep::{Grid, ListSweeps, PromoteTrial, Range, SubmitSweep, Sweep, SweepCommand, SweepId};
pub use token::{CreateToken, Token};
pub use train::{Optimizer, Precision, Promotion, Publish, Schedule, Train};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use values::{key_value, number, single, whole};

/// Trains small networks on handwritten digits and classifies images with them.
#[derive(Debug, Parser)]
#[command(name = "digits", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 negative result (a job failed, a check did not pass, nothing has that id); 64 wrong usage, a name
that nothing or several things have, or a refused request; 66 an input cannot be read; 69 a service or the storage is
unreachable or not ready; 70 a service failed; 73 a file cannot be written; 75 service overloaded, retry later; 77 a
token is missing, not accepted, or lacks the role; 130 Ctrl-C (a watched job continues).";

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
    /// CA certificates (PEM) to trust for https URLs, instead of the public CAs.
    #[arg(
        long,
        global = true,
        env = "DIGITS_TLS_CA_FILE",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub tls_ca_file: Option<PathBuf>,
    /// Certificate chain (PEM) for services that require one.
    #[arg(
        long,
        global = true,
        env = "DIGITS_TLS_CLIENT_CERTIFICATE_FILE",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub tls_client_certificate_file: Option<PathBuf>,
    /// Private key (PEM) of --tls-client-certificate-file.
    #[arg(
        long,
        global = true,
        env = "DIGITS_TLS_CLIENT_KEY_FILE",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub tls_client_key_file: Option<PathBuf>,
    /// File with the bearer token for the services.
    #[arg(
        long,
        global = true,
        env = "DIGITS_CLIENT_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub token_file: Option<PathBuf>,
    /// Longest wait for the response to a call.
    #[arg(
        long,
        global = true,
        default_value_t = 30.0,
        value_parser = number,
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
    /// Train with many values of some settings, and compare the results.
    #[command(after_help = sweep::EXAMPLES)]
    Sweep(Box<Sweep>),
    /// Watch a job to its end.
    Watch(Watch),
    /// Stop a job.
    Cancel(JobId),
    /// List the presets of the trainer.
    Presets,
    /// Push data sets to the storage, list them, describe them.
    #[command(subcommand)]
    Dataset(Dataset),
    /// List the data sets that a job may name, as `digits dataset list` does.
    Datasets(ListDatasets),
    /// Classify images.
    Predict(Predict),
    /// Measure the served model on a labelled set.
    Evaluate(Evaluate),
    /// Show what is served.
    Model(Model),
    /// List checkpoints, or show one.
    Checkpoints(Checkpoints),
    /// Show the report card of a checkpoint: its errors on test images, clean and corrupted.
    Report(Report),
    /// Create a checkpoint from a PyTorch state dict.
    Import(Box<Import>),
    /// Write a checkpoint as an ONNX model or as a folder for the Hugging Face hub, or copy its
    /// weights.
    Export(Export),
    /// Write the model card of a checkpoint: Markdown about its data, training, results and limits.
    Card(Card),
    /// Retrain a checkpoint from its recorded lineage, and compare the weights.
    Reproduce(Reproduce),
    /// List the serving records: which checkpoints were served, starting when, and why.
    Serving(Serving),
    /// Serve a checkpoint and pause automatic promotion.
    Promote(Promote),
    /// Remove the canary and shadow, send all traffic to the primary and pause automatic promotion.
    Drop(Drop),
    /// Roll back to an earlier serving record and pause automatic promotion.
    Rollback(Rollback),
    /// Resume automatic promotion after a promotion, rollback or drop paused it.
    Release(Release),
    /// Sign what a storage serves, before the inference service gets --trusted-keys.
    Sign(Sign),
    /// Create keys for signed checkpoints.
    #[command(subcommand)]
    Key(Key),
    /// Draw the curves of a job, in the terminal or into an SVG or PNG file.
    Plot(Plot),
    /// Create bearer tokens for clients of the services.
    #[command(subcommand)]
    Token(Token),
    /// Check what this machine needs to run digits, and print a remedy for what is missing.
    Doctor(Doctor),
    /// Print completions of the command line for a shell.
    Completions(Completions),
    /// Write man pages of all commands into a folder.
    Man(Man),
}

#[derive(Debug, Args)]
pub struct JobId {
    /// Job: its id, the start of its id, its name, or `latest`.
    pub job: String,
}

#[derive(Debug, Args)]
pub struct Jobs {
    /// Show this job in detail: its id, the start of its id, its name, or `latest`.
    pub job: Option<String>,
    /// Only jobs in this state; may be given several times.
    #[arg(long, value_name = "STATE")]
    pub state: Vec<State>,
    /// Only jobs with this label; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = key_value)]
    pub labels: Vec<(String, String)>,
    /// Only jobs with this name.
    #[arg(long)]
    pub name: Option<String>,
    /// Maximum number of jobs, newest first.
    #[arg(long, default_value_t = 50, value_parser = whole::<usize>(0..=u64::from(u32::MAX)))]
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
    /// Job: its id, the start of its id, its name, or `latest`.
    pub job: String,
    /// Only events of the job with a higher sequence number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = whole::<u64>(0..=u64::MAX))]
    pub after_sequence: u64,
}

#[derive(Debug, Args)]
pub struct Predict {
    /// Picture files, folders of them, `-` for standard input, or images of a data set such as
    /// mnist:test/0. One that cannot be classified is named, and the others are answered.
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<String>,
    /// The shared storage, for images of a pushed data set.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: Option<String>,
    /// Name of the model.
    #[arg(long, default_value = "")]
    pub model: String,
    /// Show only this many of the most probable labels.
    #[arg(long, value_name = "COUNT", value_parser = whole::<usize>(0..=u64::from(u32::MAX)))]
    pub top: Option<usize>,
    /// Lowest probability at which a label is predicted; below it the result is unsure.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = single)]
    pub min_probability: f32,
}

#[derive(Debug, Args)]
pub struct Evaluate {
    /// mnist:test, mnist:train, synthetic:test, a folder of IDX files (its test part), or a pushed
    /// data set such as letters:test or letters@3f9a21c0:train.
    #[arg(default_value = "mnist:test")]
    pub set: String,
    /// The shared storage, for images of a pushed data set.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: Option<String>,
    /// Name of the model.
    #[arg(long, default_value = "")]
    pub model: String,
    /// Images per batch of the loss that is averaged over batches.
    #[arg(long, default_value_t = 64, value_parser = whole::<u32>(1..=u64::from(u32::MAX)))]
    pub batch: u32,
    /// Images per request.
    #[arg(long, default_value_t = 256, value_parser = whole::<u32>(1..=65536))]
    pub images_per_request: u32,
    /// Requests in flight at a time.
    #[arg(long, default_value_t = 4, value_parser = whole::<u32>(1..=256))]
    pub in_flight: u32,
}

#[derive(Debug, Args)]
pub struct Model {
    /// Name of the model.
    #[arg(default_value = "")]
    pub model: String,
}

#[derive(Debug, Args)]
pub struct Report {
    /// Checkpoint: its id, the start of its id, the name of its job, or `latest`.
    pub checkpoint: String,
    /// PNG file to draw the hardest test images into.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Measure the report now, even if the checkpoint's manifest has one.
    #[arg(long)]
    pub again: bool,
}

#[derive(Debug, Args)]
pub struct Plot {
    /// Job: its id, the start of its id, its name, or `latest`.
    pub job: String,
    /// File to write, .svg or .png; if not given, the plot is drawn in the terminal.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Width of the picture in pixels.
    #[arg(long, default_value_t = 1600, value_parser = whole::<u32>(200..=10000))]
    pub width: u32,
    /// Height of the picture in pixels.
    #[arg(long, default_value_t = 1100, value_parser = whole::<u32>(200..=10000))]
    pub height: u32,
    /// Maximum number of rows of the curves.
    #[arg(long, default_value_t = 2000, value_parser = whole::<u32>(2..=10000))]
    pub max_rows: u32,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Service that this machine is to run; both services if not given.
    #[arg(value_name = "ROLE")]
    pub roles: Vec<Role>,
    /// Storage to check with a trial write.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: Option<String>,
}

#[derive(Debug, Args)]
pub struct Completions {
    /// Shell that will read them.
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// Folder to write the pages into, digits.1 and one for each command; made if it is absent.
    pub folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    Trainer,
    Inference,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// Every command but clap's `help`, with the words that call it.
    fn commands() -> Vec<(String, clap::Command)> {
        fn add(words: &str, command: &clap::Command, all: &mut Vec<(String, clap::Command)>) {
            all.push((words.to_owned(), command.clone()));
            for inner in command
                .get_subcommands()
                .filter(|it| it.get_name() != "help")
            {
                add(&format!("{words} {}", inner.get_name()), inner, all);
            }
        }
        let mut root = Arguments::command();
        root.build();
        let mut all = Vec::new();
        add("digits", &root, &mut all);
        all
    }

    #[test]
    fn every_command_and_every_flag_is_explained() {
        for (words, command) in commands() {
            assert!(command.get_about().is_some(), "{words}");
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string);
                let id = argument.get_id();
                assert!(help.is_some_and(|it| it.len() > 8), "{words}: {id}");
            }
        }
    }

    #[test]
    fn the_help_of_train_is_in_groups_and_has_three_examples() {
        let (_, train) = commands()
            .into_iter()
            .find(|(words, _)| words == "digits train")
            .expect("a command");
        let mut groups: Vec<&str> = Vec::new();
        for argument in train.get_arguments().filter(|it| !it.is_global_set()) {
            let group = argument.get_help_heading().unwrap_or("Options");
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        assert_eq!(
            groups,
            [
                "Options",
                "Data",
                "Network",
                "Optimization",
                "Regularization",
                "Curves and checkpoints",
                "Machine",
                "Augmentation (each of these switches it on)",
            ]
        );
        let ending = train.get_after_help().expect("examples").to_string();
        let examples: Vec<&str> = ending
            .lines()
            .filter_map(|line| line.trim().strip_prefix("digits "))
            .collect();
        assert_eq!(examples.len(), 3);
        for example in examples {
            let words = ["digits"].into_iter().chain(example.split_whitespace());
            Arguments::try_parse_from(words).expect(example);
        }
    }
}
