//! The flags of `digits-trainer work`.

use crate::{
    config::{Config, folders_in, mnist_in},
    datasets::Folder,
    job::JobId,
    train::{self, Device},
};
use clap::Parser;
use digits_checkpoint::{Storage, runs::Attempt};
use digits_dataset::{mnist::MnistSource, pushed::Cache};
use digits_service::{Error, parse_duration, parse_whole};
use digits_telemetry::logs::Format;
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// Trains one attempt that a trainer has recorded on the shared storage, and reports to the trainer
/// there. The trainer starts it with --executor process.
///
/// Exit codes: 0 the job succeeded; 1 it failed; 64 wrong usage; 69 the storage cannot be used; 73 another
/// worker has begun the attempt; 75
/// stopped by SIGTERM or SIGINT before the end.
#[derive(Clone, Debug, Parser)]
#[command(name = "digits-trainer work", version)]
pub struct WorkConfig {
    /// Id of the job.
    #[arg(long, value_name = "ID")]
    pub job: String,
    /// Number of the attempt, from 1.
    #[arg(long, value_name = "NUMBER", value_parser = parse_whole::<u32>(1..=u32::MAX.into()))]
    pub attempt: u32,
    /// Shared storage for checkpoints, pushed data sets and reports: a folder, file:///folder,
    /// s3://bucket/prefix, gs://bucket/prefix or az://container/prefix (credentials from the
    /// environment variables AWS_*, GOOGLE_* or AZURE_*).
    #[arg(long, env = "DIGITS_STORAGE")]
    pub storage: String,
    /// Folder of the cache of pushed data sets, on a local disk. Several workers may share it.
    #[arg(long, value_name = "FOLDER")]
    pub cache: PathBuf,
    /// Folder with MNIST's four files. Default: MNIST comes from the cache folder, from the shared
    /// storage, or a download.
    #[arg(long, env = "DIGITS_MNIST_DIR")]
    pub mnist_dir: Option<PathBuf>,
    /// TOML file that lists further data sets, each in a table `dataset` with name, path and
    /// description. Without it, the job can use the built-in and the pushed data sets.
    #[arg(long, env = "DIGITS_CONFIG")]
    pub config: Option<PathBuf>,
    /// Device of a job that leaves the device to the trainer: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Number of CPU threads for the job, 1 to 1024. Default: one per core.
    #[arg(long, default_value_t = default_threads(), hide_default_value = true, value_parser = parse_whole::<u16>(1..=1024))]
    pub threads: u16,
    /// Interval between resume bundles, such as 5s; a crash loses at most this much training.
    #[arg(long, env = "DIGITS_BUNDLE_INTERVAL", default_value = "5s", value_parser = parse_duration)]
    pub bundle_interval: Duration,
    /// Longest time for which the job waits while its output cannot be written, such as 1h; then it
    /// fails. 0 fails it at once.
    #[arg(long, env = "DIGITS_MAX_OUTAGE", default_value = "1h", value_parser = parse_duration)]
    pub max_outage: Duration,
    /// Maximum size of a pushed data set, in bytes; larger ones are refused.
    #[arg(long, env = "DIGITS_MAX_DATASET_BYTES", default_value_t = 2 << 30, value_parser = parse_whole::<u64>(1..=u64::MAX))]
    pub max_dataset_bytes: u64,
    /// Maximum size of the cache of pushed data sets, in bytes.
    #[arg(long, env = "DIGITS_DATASET_CACHE_BYTES", default_value_t = 4 << 30, value_parser = parse_whole::<u64>(1..=u64::MAX))]
    pub dataset_cache_bytes: u64,
    /// Format of the log on standard error: text or json.
    #[arg(long, env = "DIGITS_LOG_FORMAT", default_value = "text")]
    pub log_format: Format,
    /// Standard input is the lock file of the trainer that started this process.
    #[arg(long, hide = true)]
    pub lock_on_stdin: bool,
}

impl WorkConfig {
    /// The job and the attempt.
    ///
    /// # Errors
    /// [`Error::Config`] for an id that is none.
    pub(super) fn attempt(&self) -> Result<(JobId, Attempt), Error> {
        let job: JobId = self
            .job
            .parse()
            .map_err(|error| Error::Config(format!("--job {}: {error}", self.job)))?;
        let attempt = Attempt {
            job: job.to_string(),
            number: self.attempt,
        };
        Ok((job, attempt))
    }

    /// The device of a job that leaves it to the trainer.
    ///
    /// # Errors
    /// [`Error::Config`] for a device that does not exist.
    pub(super) fn device(&self) -> Result<Device, Error> {
        train::resolve_device(&self.device)
            .map_err(|error| Error::Config(format!("--device: {error}")))
    }

    pub(super) fn mnist(&self) -> MnistSource {
        mnist_in(self.mnist_dir.as_deref())
    }

    pub(super) fn folders(&self) -> Result<Vec<Folder>, Error> {
        folders_in(self.config.as_deref())
    }

    pub(super) fn dataset_cache(&self) -> Cache {
        Cache::new(self.cache.clone(), self.dataset_cache_bytes)
    }
}

/// The arguments by which workers share the settings of a trainer.
pub(crate) fn arguments(trainer: &Config, storage: &Storage) -> Vec<OsString> {
    let flags = &trainer.trainer;
    let log_format = match trainer.service.log_format {
        Format::Text => "text",
        Format::Json => "json",
    };
    let mut arguments: Vec<OsString> = Vec::new();
    let mut push = |flag: &str, value: OsString| arguments.extend([flag.into(), value]);
    // Of a relative path, the trainer's own folder counts; the address holds no secret.
    push("--storage", storage.url().into());
    push("--cache", trainer.state.join("datasets").into());
    if let Some(dir) = &trainer.mnist_dir {
        push("--mnist-dir", dir.into());
    }
    if let Some(file) = &trainer.config {
        push("--config", file.into());
    }
    for (flag, value) in [
        ("--bundle-interval", seconds(flags.bundle_interval)),
        ("--max-outage", seconds(flags.max_outage)),
        ("--max-dataset-bytes", flags.max_dataset_bytes.to_string()),
        (
            "--dataset-cache-bytes",
            flags.dataset_cache_bytes.to_string(),
        ),
        ("--log-format", log_format.to_owned()),
    ] {
        push(flag, value.into());
    }
    arguments
}

fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

fn default_threads() -> u16 {
    u16::try_from(train::cores()).unwrap_or(u16::MAX).min(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attempt_is_required_and_checked() {
        let parse = |job: &str, attempt: &str| {
            let all = ["digits-trainer work", "--storage", "/s", "--cache", "/c"];
            let own = ["--job", job, "--attempt", attempt];
            WorkConfig::try_parse_from(all.iter().chain(&own))
        };
        let job = JobId::generate();
        let config = parse(&job.to_string(), "2").expect("flags");
        let (parsed, attempt) = config.attempt().expect("an attempt");
        assert_eq!((parsed, attempt.number), (job, 2));
        assert!(parse(&job.to_string(), "0").is_err());
        let error = parse("x", "1").expect("flags").attempt().err();
        let error = error.expect("no id").line();
        assert!(error.contains("--job x"), "{error}");
    }
}
