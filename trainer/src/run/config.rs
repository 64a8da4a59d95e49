//! What a run of one job is told.

use crate::config::{Config, ServiceFlags, parse_duration};
use clap::Parser;
use digits_proto::v1::JobSpec;
use digits_telemetry::logs::Format;
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// Bytes of a spec, at most.
const SPEC_BYTES_AT_MOST: u64 = 1 << 20;

/// Trains one job, publishes its checkpoints and ends: for a Kubernetes Job, a workflow or cron.
///
/// Exit codes: 0 the job succeeded; 1 it failed; 64 wrong usage or a refused spec; 69 state or storage cannot be
/// used; 75 stopped by SIGTERM or SIGINT before the end: run it again, with the same --state it goes on.
#[derive(Clone, Debug, Parser)]
#[command(name = "digits-trainer run", version)]
pub struct RunConfig {
    /// File with the job in JSON, as protobuf's JSON of digits.v1.JobSpec, such as {"preset": "fast"}; - is standard input.
    #[arg(long, value_name = "FILE")]
    pub spec: PathBuf,
    /// Shared storage for checkpoints: a folder, file:///folder or s3://bucket/prefix (AWS_* for the credentials).
    #[arg(long, env = "DIGITS_STORAGE")]
    pub storage: String,
    /// Folder for the job's state, on a local disk: the same spec run again takes up what is there, and jobs that
    /// wait there are carried out too. Without it a temporary folder.
    #[arg(long, env = "DIGITS_STATE")]
    pub state: Option<PathBuf>,
    /// Folder with MNIST's four files; without it a cache folder and then a download serve.
    #[arg(long, env = "DIGITS_MNIST_DIR")]
    pub mnist_dir: Option<PathBuf>,
    /// TOML file with further data sets, as for the service.
    #[arg(long, env = "DIGITS_CONFIG")]
    pub config: Option<PathBuf>,
    /// Time that the job has to stop after SIGTERM, such as 10s.
    #[arg(long, env = "DIGITS_SHUTDOWN_GRACE", default_value = "10s", value_parser = parse_duration)]
    pub shutdown_grace: Duration,
    /// Logs for people or for machines: text or json.
    #[arg(long, env = "DIGITS_LOG_FORMAT", default_value = "text")]
    pub log_format: Format,
    /// Print the job at its end as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

impl RunConfig {
    /// The job.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn job(&self) -> Result<JobSpec, String> {
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
        crate::proto_json::read("digits.v1.JobSpec", &text).map_err(refuse)
    }

    /// The service's configuration for a run with its state in `state`. What a run has no flag for is
    /// as the service's environment variables say, or its default.
    ///
    /// # Errors
    /// One line that names a variable with a bad value.
    pub fn service(&self, state: &Path) -> Result<Config, String> {
        Ok(Config {
            storage: self.storage.clone(),
            state: state.to_owned(),
            mnist_dir: self.mnist_dir.clone(),
            config: self.config.clone(),
            // One job: all of the machine is its.
            workers: Some(1),
            shutdown_grace: self.shutdown_grace,
            log_format: self.log_format,
            service: ServiceFlags::from_environment()?,
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
