//! What a run of one job is told.

use crate::{config::Config, wire::SpecMessage};
use clap::Parser;
use digits_service::{Error, ServiceFlags, args::from_environment, parse_duration};
use digits_telemetry::logs::Format;
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// Bytes of a spec, at most.
const SPEC_BYTES_AT_MOST: u64 = 1 << 20;

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
    /// Shared storage for checkpoints and pushed data sets: a folder, file:///folder or
    /// s3://bucket/prefix (credentials from the AWS_* environment variables).
    #[arg(long, env = "DIGITS_STORAGE")]
    pub storage: String,
    /// Folder for the state of the job, on a local disk. Running the same spec again with this
    /// folder continues the job, and runs jobs that are queued there too. Default: a temporary
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
    /// The job.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn job(&self) -> Result<SpecMessage, String> {
        let refuse = |reason: String| format!("--spec {}: {reason}", self.spec.display());
        let mut text = String::new();
        let read = if self.spec == Path::new("-") {
            io::stdin()
                .lock()
                .take(SPEC_BYTES_AT_MOST + 1)
                .read_to_string(&mut text)
        } else {
            File::open(&self.spec)
                .and_then(|file| file.take(SPEC_BYTES_AT_MOST + 1).read_to_string(&mut text))
        };
        let bytes = read.map_err(|error| refuse(error.to_string()))?;
        if bytes as u64 > SPEC_BYTES_AT_MOST {
            return Err(refuse(format!(
                "has more than {SPEC_BYTES_AT_MOST} bytes: a job's spec is a few lines"
            )));
        }
        SpecMessage::from_json(&text).map_err(|error| refuse(error.to_string()))
    }

    /// The service's configuration for a run with its state in `state`. What a run has no flag for is
    /// as the service's environment variables say, or its default.
    ///
    /// # Errors
    /// [`Error::Config`] that names a variable with a bad value.
    pub fn service(&self, state: &Path) -> Result<Config, Error> {
        Ok(Config {
            storage: self.storage.clone(),
            state: state.to_owned(),
            mnist_dir: self.mnist_dir.clone(),
            config: self.config.clone(),
            // One job: all of the machine is its.
            workers: Some(1),
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

    /// Holds whatever the environment of the tests is, since both sides read it.
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
}
