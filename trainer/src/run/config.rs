//! The flags of `digits-trainer run`.

use crate::{
    config::{Config, ExecutorKind, JournalFlags, KubernetesFlags},
    wire::SpecMessage,
};
use clap::Parser;
use digits_service::{Error, ServiceFlags, args::from_environment, parse_duration};
use digits_telemetry::logs::Format;
use std::{
    fmt::Display,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// Largest spec file.
const MAX_SPEC_BYTES: u64 = 1 << 20;

/// Trains one job, publishes its checkpoints and exits: for a Kubernetes Job, a workflow or cron.
///
/// Exit codes: 0 the job succeeded; 1 it failed; 64 wrong usage or a refused spec; 69 state or
/// storage cannot be used; 75 stopped by SIGTERM or SIGINT before the end: running it again with
/// the same --state continues the job.
#[derive(Clone, Debug, Parser)]
#[command(name = "digits-trainer run", version)]
pub struct RunConfig {
    /// File with the job as JSON (protobuf's JSON form of digits.v1.JobSpec), such as {"preset":
    /// "fast"}, at most 1 MiB; - is standard input.
    #[arg(long, value_name = "FILE")]
    pub spec: PathBuf,
    /// Shared storage for checkpoints and pushed data sets: a folder, file:///folder,
    /// s3://bucket/prefix, gs://bucket/prefix or az://container/prefix (credentials from the
    /// environment variables AWS_*, GOOGLE_* or AZURE_*).
    #[arg(long, env = "DIGITS_STORAGE")]
    pub storage: String,
    /// Folder for the state of the job, on a local disk. Running the same spec again with this
    /// folder continues the job, and also runs any other jobs queued in it. Default: a temporary
    /// folder.
    #[arg(long, env = "DIGITS_STATE")]
    pub state: Option<PathBuf>,
    /// Folder with MNIST's four files. Default: MNIST comes from the cache folder, from the shared
    /// storage, or a download.
    #[arg(long, env = "DIGITS_MNIST_DIR")]
    pub mnist_dir: Option<PathBuf>,
    /// TOML file that lists further data sets, each in a table `dataset` with name, path and
    /// description. Without it, the job can use the built-in and the pushed data sets.
    #[arg(long, env = "DIGITS_CONFIG")]
    pub config: Option<PathBuf>,
    /// Time after SIGTERM or SIGINT for the job to write a resume bundle, such as 10s.
    #[arg(long, env = "DIGITS_SHUTDOWN_GRACE", default_value = "10s", value_parser = parse_duration)]
    pub shutdown_grace: Duration,
    /// Format of the log on standard error: text or json.
    #[arg(long, env = "DIGITS_LOG_FORMAT", default_value = "text")]
    pub log_format: Format,
    /// Prints the finished job as JSON on standard output. Without it, standard output stays empty.
    #[arg(long)]
    pub json: bool,
}

impl RunConfig {
    /// Reads the job's spec.
    ///
    /// # Errors
    /// [`Error::Config`] with the file and what is wrong with it.
    pub fn job(&self) -> Result<SpecMessage, Error> {
        let refuse = |reason: &dyn Display| {
            Error::Config(format!("--spec {}: {reason}", self.spec.display()))
        };
        let mut text = String::new();
        let read = if self.spec == Path::new("-") {
            io::stdin()
                .lock()
                .take(MAX_SPEC_BYTES + 1)
                .read_to_string(&mut text)
        } else {
            File::open(&self.spec)
                .and_then(|file| file.take(MAX_SPEC_BYTES + 1).read_to_string(&mut text))
        };
        let bytes = read.map_err(|error| refuse(&error))?;
        if bytes as u64 > MAX_SPEC_BYTES {
            return Err(refuse(&format!(
                "has more than {MAX_SPEC_BYTES} bytes: a job's spec is a few lines"
            )));
        }
        // Editors on Windows put a byte order mark before the first line.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        SpecMessage::from_json(text).map_err(|error| refuse(&error))
    }

    /// The service's configuration for a run with its state in `state`. Settings without a flag of
    /// `run` come from the service's environment variables or their defaults.
    ///
    /// # Errors
    /// [`Error::Config`] that names a variable with a bad value.
    pub fn service(&self, state: &Path) -> Result<Config, Error> {
        Ok(Config {
            storage: self.storage.clone(),
            state: state.to_owned(),
            mnist_dir: self.mnist_dir.clone(),
            config: self.config.clone(),
            // One job, which gets all cores.
            workers: Some(1),
            executor: ExecutorKind::Local,
            kubernetes: KubernetesFlags::default(),
            journal: JournalFlags::off(),
            trainer: from_environment("digits-trainer")?,
            service: ServiceFlags {
                shutdown_grace: self.shutdown_grace,
                log_format: self.log_format,
                ..from_environment("digits-trainer")?
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Independent of the environment of the tests, because both sides read it.
    #[test]
    fn a_run_has_the_defaults_of_the_service() {
        let run = |more: &[&str]| {
            let all = ["digits-trainer run", "--spec", "-", "--storage", "/s"];
            let parsed = RunConfig::try_parse_from(all.iter().chain(more)).expect("flags");
            let service = parsed.service(Path::new("/t"));
            format!("{:?}", service.expect("a good environment"))
        };
        let service = |more: &[&str]| {
            let all = ["digits-trainer", "--storage", "/s", "--state", "/t"];
            let all = all.iter().chain(&["--workers", "1"]).chain(more);
            format!("{:?}", Config::try_parse_from(all).expect("flags"))
        };
        for more in [
            &[][..],
            &["--mnist-dir", "/m", "--config", "/c"],
            &["--shutdown-grace", "3s", "--log-format", "json"],
        ] {
            assert_eq!(run(more), service(more));
        }
    }

    /// As editors on Windows write it.
    #[test]
    fn a_byte_order_mark_before_the_spec_is_ignored() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("spec.json");
        std::fs::write(&path, "\u{feff}{\"preset\": \"fast\"}\n").expect("written");
        let spec = path.to_str().expect("text");
        let all = ["digits-trainer run", "--spec", spec, "--storage", "/s"];
        let parsed = RunConfig::try_parse_from(all).expect("flags");
        assert!(parsed.job().is_ok(), "{:?}", parsed.job().err());
    }
}
