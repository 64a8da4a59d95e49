//! Configuration: flags, environment variables and one file, checked before any port opens.

mod dataset_file;
mod journal;
mod kubernetes;

pub use journal::JournalFlags;
pub use kubernetes::KubernetesFlags;

use crate::{
    datasets::Folder,
    quotas::Quotas,
    remote_write::{Address, Receiver},
    tracker::TrackerFlags,
    webhook::WebhookFlags,
};
use clap::{Args, Parser, ValueEnum};
use digits_checkpoint::retention::Rules;
use digits_dataset::{mnist::MnistSource, pushed::Cache};
use digits_service::{Error, ServiceFlags, parse_age, parse_duration, parse_whole};
use jiff::SignedDuration;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Trains neural networks on images of digits: accepts jobs over gRPC, trains them with libtorch
/// and publishes checkpoints to shared storage.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "digits-trainer",
    bin_name = "digits-trainer",
    version,
    after_help = "See also `digits-trainer run --help` (runs one job without the service), `digits-trainer health --help` (checks a running service) and `digits-trainer man FOLDER` (writes man pages)."
)]
pub struct Config {
    /// Shared storage for checkpoints and pushed data sets: a folder, file:///folder,
    /// s3://bucket/prefix, gs://bucket/prefix or az://container/prefix (credentials from the
    /// environment variables AWS_*, GOOGLE_* or AZURE_*).
    #[arg(long, env = "DIGITS_STORAGE")]
    pub storage: String,
    /// Folder of the job database, the resume bundles and the cache of pushed data sets, on a local
    /// disk. Only one trainer may use it at a time.
    #[arg(long, env = "DIGITS_STATE")]
    pub state: PathBuf,
    /// Folder with MNIST's four files. Default: MNIST comes from the cache folder, from the shared
    /// storage, or a download.
    #[arg(long, env = "DIGITS_MNIST_DIR")]
    pub mnist_dir: Option<PathBuf>,
    /// TOML file that lists further data sets, each in a table `dataset` with name, path and
    /// description. Without it, jobs can use the built-in and the pushed data sets.
    #[arg(long, env = "DIGITS_CONFIG")]
    pub config: Option<PathBuf>,
    /// Number of jobs that run at the same time, 1 to 64; on the CPU they share the cores. Default:
    /// one per GPU, or one without a GPU; 8 with --executor kubernetes.
    #[arg(long, env = "DIGITS_WORKERS", value_parser = parse_whole::<u16>(1..=64))]
    pub workers: Option<u16>,
    /// Where jobs are trained: local, on threads of this process; process, each in a process of
    /// its own, which goes on while the trainer restarts and cannot take other jobs with it; or
    /// kubernetes, each in a Job of a cluster (--pod-template).
    #[arg(long, env = "DIGITS_EXECUTOR", default_value = "local")]
    pub executor: ExecutorKind,
    /// Flags of the Kubernetes executor.
    #[command(flatten)]
    pub kubernetes: KubernetesFlags,
    /// Flags of the journal.
    #[command(flatten)]
    pub journal: JournalFlags,
    /// Flags that `digits-trainer run` reads from the environment only.
    #[command(flatten)]
    pub trainer: TrainerFlags,
    /// Flags that both services have.
    #[command(flatten)]
    pub service: ServiceFlags,
}

/// Where jobs are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExecutorKind {
    /// On threads of the trainer.
    Local,
    /// Each in a process of its own.
    Process,
    /// Each in a Job of a Kubernetes cluster.
    Kubernetes,
}

/// Flags that only the service has. `digits-trainer run` reads these settings from the environment
/// only.
#[derive(Clone, Debug, Args)]
pub struct TrainerFlags {
    /// Address of the gRPC port; port 0 selects a free one.
    #[arg(long, env = "DIGITS_LISTEN", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Address of the admin port with /metrics, /livez and /readyz; port 0 selects a free one.
    #[arg(long, env = "DIGITS_ADMIN_LISTEN", default_value = "127.0.0.1:9051")]
    pub admin_listen: SocketAddr,
    /// Private key (PEM, Ed25519; made by `digits key create`) that signs checkpoints and serving
    /// records. Only what it or one of the --trusted-keys signed is promoted.
    #[arg(long, env = "DIGITS_SIGNING_KEY", value_name = "FILE")]
    pub signing_key: Option<PathBuf>,
    /// Public keys (PEM, Ed25519), one after the other, that are trusted beside --signing-key, such
    /// as the one that signed before.
    #[arg(long, env = "DIGITS_TRUSTED_KEYS", value_name = "FILE")]
    pub trusted_keys: Option<PathBuf>,
    /// Interval between snapshots of a running job's training state (resume bundles), such as 5s; a
    /// crash loses at most this much training.
    #[arg(long, env = "DIGITS_BUNDLE_INTERVAL", default_value = "5s", value_parser = parse_duration)]
    pub bundle_interval: Duration,
    /// Longest time for which a running job waits while its checkpoints or curves cannot be written,
    /// because the storage is unreachable or full, or the job database is locked or its disk full,
    /// such as 1h; then it fails. 0 fails it at once. The service waits as long for a storage that
    /// fails when it starts.
    #[arg(long, env = "DIGITS_MAX_OUTAGE", default_value = "1h", value_parser = parse_duration)]
    pub max_outage: Duration,
    /// Maximum size of a pushed data set, in bytes; larger ones are refused. A data set is held in
    /// memory while a job trains on it.
    #[arg(long, env = "DIGITS_MAX_DATASET_BYTES", default_value_t = 2 << 30, value_parser = parse_whole::<u64>(1..=u64::MAX))]
    pub max_dataset_bytes: u64,
    /// Maximum size of the cache of pushed data sets in the state folder, in bytes; at least
    /// --max-dataset-bytes. A data set in the cache is not fetched from the storage again.
    #[arg(long, env = "DIGITS_DATASET_CACHE_BYTES", default_value_t = 4 << 30, value_parser = parse_whole::<u64>(1..=u64::MAX))]
    pub dataset_cache_bytes: u64,
    /// Maximum number of queued jobs, 1 to 100000; further jobs are refused.
    #[arg(long, env = "DIGITS_QUEUE_CAPACITY", default_value_t = 100, value_parser = parse_whole::<u32>(1..=100_000))]
    pub queue_capacity: u32,
    /// Quotas of each client.
    #[command(flatten)]
    pub quotas: Quotas,
    /// Maximum size of a request message, in bytes; larger ones are refused.
    #[arg(long, env = "DIGITS_MAX_MESSAGE_BYTES", default_value_t = 1 << 20, value_parser = parse_whole::<u32>(1_024..=1 << 30))]
    pub max_message_bytes: u32,
    /// Maximum number of concurrent requests and watches; further ones are refused at once.
    #[arg(long, env = "DIGITS_MAX_IN_FLIGHT", default_value_t = 1024, value_parser = parse_whole::<u32>(1..=100_000))]
    pub max_in_flight: u32,
    /// File that receives a JSON line for each call that would change something, also for one that
    /// is refused: who, from where, what, and the result. It is opened for each line, so it may be
    /// rotated. Without it, there is no audit log.
    #[arg(long, env = "DIGITS_AUDIT_LOG", value_name = "FILE")]
    pub audit_log: Option<PathBuf>,
    /// Interval of the retention sweep, which deletes checkpoints that nothing protects, such as
    /// 1h; 0 disables it.
    #[arg(long, env = "DIGITS_RETENTION_INTERVAL", default_value = "1h", value_parser = parse_duration)]
    pub retention_interval: Duration,
    /// Number of newest checkpoints of each model that the retention sweep keeps, up to 1000000.
    #[arg(long, env = "DIGITS_RETENTION_KEEP", default_value_t = 20, value_parser = parse_whole::<u32>(0..=1_000_000))]
    pub retention_keep: u32,
    /// Age below which a checkpoint is always kept, such as 12h or 7d; up to 3660d.
    #[arg(long, env = "DIGITS_RETENTION_AGE", default_value = "7d", value_parser = parse_age)]
    pub retention_age: Duration,
    /// Time between marking a checkpoint for deletion and deleting it, such as 1h. Must be longer
    /// than any promotion takes.
    #[arg(long, env = "DIGITS_RETENTION_GRACE", default_value = "1h", value_parser = parse_duration)]
    pub retention_grace: Duration,
    /// Largest loss of accuracy, from 0 to 1, with which a checkpoint is promoted automatically, such
    /// as 0.02: one whose accuracy is further below that of the served checkpoint is published and
    /// held back. Without it, none is held back.
    #[arg(long, env = "DIGITS_PROMOTION_GUARD", value_parser = parse_guard)]
    pub promotion_guard: Option<f64>,
    /// Prometheus remote write address that receives every point of the curves, such as
    /// http://127.0.0.1:9090/api/v1/write (Prometheus needs --web.enable-remote-write-receiver).
    /// Without it, no curves are pushed.
    #[arg(long, env = "DIGITS_REMOTE_WRITE")]
    pub remote_write: Option<Address>,
    /// File with the bearer token for the address of --remote-write. It is read before each push,
    /// so it can be replaced at any time. Without it, no token is sent.
    #[arg(
        long,
        env = "DIGITS_REMOTE_WRITE_TOKEN_FILE",
        requires = "remote_write"
    )]
    pub remote_write_token_file: Option<PathBuf>,
    /// File with the CA certificates (PEM) to trust for an https:// address in --remote-write, read
    /// at the start. Default: the public CAs.
    #[arg(long, env = "DIGITS_REMOTE_WRITE_CA_FILE", requires = "remote_write")]
    pub remote_write_ca_file: Option<PathBuf>,
    /// Webhooks.
    #[command(flatten)]
    pub webhooks: WebhookFlags,
    /// Experiment trackers.
    #[command(flatten)]
    pub trackers: TrackerFlags,
}

/// Parses a difference of accuracies.
fn parse_guard(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(guard) if (0.0..=1.0).contains(&guard) => Ok(guard),
        _ => Err("takes a number from 0 to 1, such as 0.02 for 2 percentage points".to_owned()),
    }
}

/// Checks whether a running trainer is ready: exits with 0 if it is, else with 1.
#[derive(Clone, Debug, Parser)]
#[command(name = "digits-trainer health", version)]
pub struct HealthConfig {
    /// Address of the admin port of the running trainer.
    #[arg(long, env = "DIGITS_ADMIN_LISTEN", default_value = "127.0.0.1:9051")]
    pub admin_listen: SocketAddr,
}

impl Config {
    /// The source of MNIST.
    #[must_use]
    pub fn mnist(&self) -> MnistSource {
        mnist_in(self.mnist_dir.as_deref())
    }

    /// The cache of pushed data sets.
    ///
    /// # Errors
    /// [`Error::Config`] when the largest data set would not fit into it.
    pub fn dataset_cache(&self) -> Result<Cache, Error> {
        let (cache, largest) = (
            self.trainer.dataset_cache_bytes,
            self.trainer.max_dataset_bytes,
        );
        if cache < largest {
            return Err(Error::Config(format!(
                "--dataset-cache-bytes {cache} is less than --max-dataset-bytes {largest}: raise the former or lower the latter"
            )));
        }
        Ok(Cache::new(self.state.join("datasets"), cache))
    }

    /// The remote write receiver of the curves, if there is one.
    #[must_use]
    pub fn receiver(&self) -> Option<Receiver> {
        self.trainer.remote_write.clone().map(|address| Receiver {
            address,
            token_file: self.trainer.remote_write_token_file.clone(),
            ca_file: self.trainer.remote_write_ca_file.clone(),
        })
    }

    /// The rules of the retention sweep; `None` if it is off.
    #[must_use]
    pub fn retention(&self) -> Option<Rules> {
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        (!self.trainer.retention_interval.is_zero()).then(|| Rules {
            keep_newest: self.trainer.retention_keep as usize,
            keep_younger: signed(self.trainer.retention_age),
            grace: signed(self.trainer.retention_grace),
            ..Rules::default()
        })
    }

    /// The data sets in the file of `--config`; none without it.
    ///
    /// # Errors
    /// [`Error::Config`] that names the file and what is wrong with it.
    pub fn folders(&self) -> Result<Vec<Folder>, Error> {
        folders_in(self.config.as_deref())
    }
}

/// The source of MNIST: `dir`, else what the environment names.
pub(crate) fn mnist_in(dir: Option<&Path>) -> MnistSource {
    let from_environment = MnistSource::default();
    MnistSource {
        dir: dir.map(Path::to_owned).or(from_environment.dir.clone()),
        ..from_environment
    }
}

/// The data sets in the file of `--config`; none without it.
pub(crate) fn folders_in(file: Option<&Path>) -> Result<Vec<Folder>, Error> {
    let Some(path) = file else {
        return Ok(Vec::new());
    };
    dataset_file::read(path)
        .map_err(|error| Error::Config(format!("--config {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_defaults_and_limits() {
        let parse = |arguments: &[&str]| {
            let all = ["digits-trainer", "--storage", "/s", "--state", "/t"];
            Config::try_parse_from(all.iter().chain(arguments)).map_err(|error| error.to_string())
        };
        let config = parse(&[]).expect("the required flags");
        assert_eq!(config.trainer.listen.port(), 50_051);
        assert_eq!(config.trainer.queue_capacity, 100);
        assert_eq!(config.executor, ExecutorKind::Local);
        assert_eq!(config.retention(), Some(Rules::default()));
        let config = parse(&["--retention-age", "1.5d"]).expect("days");
        let kept = config.retention().expect("on").keep_younger;
        assert_eq!(kept, SignedDuration::from_hours(36));
        let off = parse(&["--retention-interval", "0"]).expect("off");
        assert_eq!(off.retention(), None);
        for (arguments, flag) in [
            (["--queue-capacity", "0"], "--queue-capacity"),
            (["--shutdown-grace", "soon"], "--shutdown-grace"),
            (["--workers", "0"], "--workers"),
            (["--executor", "cluster"], "--executor"),
            (["--bundle-interval", "often"], "--bundle-interval"),
            (["--retention-grace", "2d"], "--retention-grace"),
            (["--retention-age", "5000d"], "--retention-age"),
            (["--listen", "here"], "--listen"),
            (["--log-format", "xml"], "--log-format"),
            (["--nope", "1"], "--nope"),
            (["--promotion-guard", "2"], "--promotion-guard"),
            (["--promotion-guard", "nan"], "such as 0.02"),
            (["--max-dataset-bytes", "0"], "--max-dataset-bytes"),
            (["--remote-write", "here"], "--remote-write"),
            (["--remote-write-token-file", "token"], "--remote-write <"),
            (["--remote-write-ca-file", "ca"], "--remote-write <"),
            (["--trainer-name", "A/b"], "--trainer-name"),
            (["--journal-lease", "long"], "--journal-lease"),
            (["--journal", "--recover-from-storage"], "--trainer-name <"),
            (
                ["--webhook", "https://example.com/"],
                "--webhook-secret-file",
            ),
            (["--webhook-secret-file", "secret"], "--webhook <"),
            (
                ["--mlflow-tracking-uri", "databricks"],
                "--mlflow-tracking-uri",
            ),
            (["--mlflow-experiment", "mine"], "--mlflow-tracking-uri <"),
        ] {
            let error = parse(&arguments).expect_err(flag);
            assert!(error.contains(flag), "{error}");
        }
        assert!(config.dataset_cache().is_ok());
        let small = parse(&["--dataset-cache-bytes", "5"]).expect("a number");
        let error = small.dataset_cache().err().expect("too small");
        assert!(error.line().contains("--max-dataset-bytes"), "{error}");
    }
}
