//! What the service is told: flags, environment and one file, checked before any port opens.

use crate::{
    datasets::{BUILT_IN, Folder},
    remote_write::{Address, Receiver},
};
use clap::{Args, Command, FromArgMatches as _, Parser, error::ContextKind};
use digits_checkpoint::retention::Rules;
use digits_dataset::{mnist::MnistSource, pushed::Cache};
use digits_server::{CredentialFlags, RequestFlags};
use digits_telemetry::logs::Format;
use jiff::SignedDuration;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, iter,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Data sets that the configuration may name.
const FOLDERS_AT_MOST: usize = 100;

/// Trains neural networks on images of digits: accepts jobs over gRPC, trains them with libtorch
/// and publishes checkpoints to shared storage.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "digits-trainer",
    version,
    after_help = "`digits-trainer run --help` is about running one job without the service, `digits-trainer health --help` about asking a running one."
)]
pub struct Config {
    /// Shared storage for checkpoints and pushed data sets: a folder, file:///folder or
    /// s3://bucket/prefix (credentials from the AWS_* environment variables).
    #[arg(long, env = "DIGITS_STORAGE")]
    pub storage: String,
    /// Folder of the job database, the resume bundles and the cache of pushed data sets, on a local
    /// disk. Only one trainer may use it at a time.
    #[arg(long, env = "DIGITS_STATE")]
    pub state: PathBuf,
    /// Folder with MNIST's four files. Without it, MNIST is taken from the cache folder, from the
    /// shared storage, or else downloaded.
    #[arg(long, env = "DIGITS_MNIST_DIR")]
    pub mnist_dir: Option<PathBuf>,
    /// TOML file that lists further data sets, each in a table `dataset` with name, path and
    /// description. Without it, jobs can use the built-in and the pushed data sets.
    #[arg(long, env = "DIGITS_CONFIG")]
    pub config: Option<PathBuf>,
    /// Number of jobs that run at the same time, 1 to 64; on the CPU they share the cores. Without
    /// it, one per GPU, or one if there is no GPU.
    #[arg(long, env = "DIGITS_WORKERS", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: Option<u16>,
    /// Time after SIGTERM for running jobs to write a resume bundle and for requests to finish,
    /// such as 10s.
    #[arg(long, env = "DIGITS_SHUTDOWN_GRACE", default_value = "10s", value_parser = parse_duration)]
    pub shutdown_grace: Duration,
    /// Format of the log on standard error: text or json.
    #[arg(long, env = "DIGITS_LOG_FORMAT", default_value = "text")]
    pub log_format: Format,
    /// What `digits-trainer run` takes from the environment alone.
    #[command(flatten)]
    pub service: ServiceFlags,
}

/// Flags that only the service has. `digits-trainer run` reads these settings from the environment
/// only.
#[derive(Clone, Debug, Args)]
pub struct ServiceFlags {
    /// Address of the gRPC port; port 0 selects a free one.
    #[arg(long, env = "DIGITS_LISTEN", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Address of the admin port with /metrics, /livez and /readyz; port 0 selects a free one.
    #[arg(long, env = "DIGITS_ADMIN_LISTEN", default_value = "127.0.0.1:9051")]
    pub admin_listen: SocketAddr,
    /// Time between two resume bundles of a running job, such as 5s: the most training that a crash
    /// can cost.
    #[arg(long, env = "DIGITS_BUNDLE_INTERVAL", default_value = "5s", value_parser = parse_duration)]
    pub bundle_interval: Duration,
    /// Maximum size of a pushed data set, in bytes; larger ones are refused. A data set is held in
    /// memory while a job trains on it.
    #[arg(long, env = "DIGITS_MAX_DATASET_BYTES", default_value_t = 2 << 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_dataset_bytes: u64,
    /// Maximum size of the cache of pushed data sets in the state folder, in bytes; at least
    /// --max-dataset-bytes. A data set in the cache is not fetched from the storage again.
    #[arg(long, env = "DIGITS_DATASET_CACHE_BYTES", default_value_t = 4 << 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub dataset_cache_bytes: u64,
    /// Maximum number of queued jobs, 1 to 100000; further jobs are refused.
    #[arg(long, env = "DIGITS_QUEUE_CAPACITY", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub queue_capacity: u32,
    /// Maximum size of a request message, in bytes; larger ones are refused.
    #[arg(long, env = "DIGITS_MAX_MESSAGE_BYTES", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1_024..=1 << 30))]
    pub max_message_bytes: u32,
    /// Maximum number of concurrent requests and watches; further ones are refused at once.
    #[arg(long, env = "DIGITS_MAX_IN_FLIGHT", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_in_flight: u32,
    /// Time between reporting "not ready" and closing the port at shutdown, such as 100ms, so that
    /// load balancers can react.
    #[arg(long, env = "DIGITS_SHUTDOWN_DELAY", default_value = "100ms", value_parser = parse_duration)]
    pub shutdown_delay: Duration,
    /// Interval of the retention sweep, which deletes checkpoints that nothing protects, such as
    /// 1h; 0 disables it.
    #[arg(long, env = "DIGITS_RETENTION_INTERVAL", default_value = "1h", value_parser = parse_duration)]
    pub retention_interval: Duration,
    /// Number of newest checkpoints of each model that the retention sweep keeps, up to 1000000.
    #[arg(long, env = "DIGITS_RETENTION_KEEP", default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub retention_keep: u32,
    /// Age below which the retention sweep keeps a checkpoint, such as 12h or 7d; up to 3660d.
    #[arg(long, env = "DIGITS_RETENTION_AGE", default_value = "7d", value_parser = parse_age)]
    pub retention_age: Duration,
    /// Time between marking a checkpoint for deletion and deleting it, such as 1h. Must be longer
    /// than any promotion takes.
    #[arg(long, env = "DIGITS_RETENTION_GRACE", default_value = "1h", value_parser = parse_duration)]
    pub retention_grace: Duration,
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
    /// File with the certificate authorities (PEM) that may have signed the certificate of
    /// --remote-write, read at the start. Without it, the public authorities.
    #[arg(long, env = "DIGITS_REMOTE_WRITE_CA_FILE", requires = "remote_write")]
    pub remote_write_ca_file: Option<PathBuf>,
    /// Who may reach the gRPC port.
    #[command(flatten)]
    pub credentials: CredentialFlags,
    /// What is told of single requests.
    #[command(flatten)]
    pub requests: RequestFlags,
    /// File that receives the bound addresses as JSON once both ports are open. Without it, they
    /// are only logged.
    #[arg(long, env = "DIGITS_READY_FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Checks whether a running trainer is ready: exits with 0 if it is, else with 1.
#[derive(Clone, Debug, Parser)]
#[command(name = "digits-trainer health", version)]
pub struct HealthConfig {
    /// Address of the admin port of the running trainer.
    #[arg(long, env = "DIGITS_ADMIN_LISTEN", default_value = "127.0.0.1:9051")]
    pub admin_listen: SocketAddr,
}

impl ServiceFlags {
    /// The settings of the environment and the defaults of the others, without a command line.
    ///
    /// # Errors
    /// One line that names the variable and what is wrong with its value.
    pub fn from_environment() -> Result<Self, String> {
        let mut command = Self::augment_args(Command::new("digits-trainer").no_binary_name(true));
        let parsed = command
            .try_get_matches_from_mut(iter::empty::<OsString>())
            .and_then(|matches| Self::from_arg_matches(&matches));
        parsed.map_err(|error| bad_environment(&command, &error))
    }
}

/// clap's first paragraph in one line, after the name of the variable.
fn bad_environment(command: &Command, error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let line = words.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let flag = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    let argument = command
        .get_arguments()
        .find(|argument| flag.as_ref() == Some(&argument.to_string()));
    match argument.and_then(clap::Arg::get_env) {
        Some(variable) => format!("{}: {line}", variable.display()),
        None => format!("environment: {line}"),
    }
}

impl Config {
    /// Where MNIST comes from.
    #[must_use]
    pub fn mnist(&self) -> MnistSource {
        let from_environment = MnistSource::default();
        MnistSource {
            dir: self.mnist_dir.clone().or(from_environment.dir.clone()),
            ..from_environment
        }
    }

    /// The cache of pushed data sets.
    ///
    /// # Errors
    /// One line, when the largest data set would not fit into it.
    pub fn dataset_cache(&self) -> Result<Cache, String> {
        let (cache, largest) = (
            self.service.dataset_cache_bytes,
            self.service.max_dataset_bytes,
        );
        if cache < largest {
            return Err(format!(
                "--dataset-cache-bytes {cache} is less than --max-dataset-bytes {largest}: raise it, or lower the other"
            ));
        }
        Ok(Cache::new(self.state.join("datasets"), cache))
    }

    /// Where the points of curves are pushed to, if anywhere.
    #[must_use]
    pub fn receiver(&self) -> Option<Receiver> {
        self.service.remote_write.clone().map(|address| Receiver {
            address,
            token_file: self.service.remote_write_token_file.clone(),
            ca_file: self.service.remote_write_ca_file.clone(),
        })
    }

    /// What retention keeps; `None` where it is off.
    #[must_use]
    pub fn retention(&self) -> Option<Rules> {
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        (!self.service.retention_interval.is_zero()).then(|| Rules {
            keep_newest: self.service.retention_keep as usize,
            keep_younger: signed(self.service.retention_age),
            grace: signed(self.service.retention_grace),
            ..Rules::default()
        })
    }

    /// The data sets of the file.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn folders(&self) -> Result<Vec<Folder>, String> {
        let Some(path) = &self.config else {
            return Ok(Vec::new());
        };
        let refuse = |reason: String| format!("--config {}: {reason}", path.display());
        let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        folders(&text, path.parent().unwrap_or(Path::new("."))).map_err(refuse)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    dataset: Vec<FileDataset>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDataset {
    name: String,
    path: PathBuf,
    #[serde(default)]
    description: String,
}

/// The data sets of a file's text; paths are relative to the file.
fn folders(text: &str, beside: &Path) -> Result<Vec<Folder>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    if file.dataset.len() > FOLDERS_AT_MOST {
        return Err(format!(
            "names {} data sets, {FOLDERS_AT_MOST} are the limit",
            file.dataset.len()
        ));
    }
    let mut names: BTreeSet<String> = BUILT_IN.into_iter().map(str::to_owned).collect();
    file.dataset
        .into_iter()
        .map(|dataset| {
            let good = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
            };
            let name = dataset.name;
            if !(1..=63).contains(&name.len()) || !name.bytes().all(good) {
                return Err(format!(
                    "dataset name {name:?} must be 1 to 63 of a-z, 0-9, `-`, `_`, `.`"
                ));
            }
            if !names.insert(name.clone()) {
                return Err(format!("dataset name {name:?} is taken: choose another"));
            }
            Ok(Folder {
                name,
                path: beside.join(dataset.path),
                description: dataset.description,
            })
        })
        .collect()
}

/// A number with a unit: 250ms, 2s, 30m, 1h; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_age(text)?;
    if duration > DAY {
        return Err("must be at most 24h".to_owned());
    }
    Ok(duration)
}

/// The same, and up to ten years, such as 7d.
fn parse_age(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a number with ms, s, m, h or d, such as 250ms".to_owned();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => DAY.as_secs_f64(),
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|duration| *duration <= DAY * 3_660)
        .ok_or_else(|| "must be at most 3660d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags() {
        let parse = |arguments: &[&str]| {
            let all = ["digits-trainer", "--storage", "/s", "--state", "/t"];
            Config::try_parse_from(all.iter().chain(arguments)).map_err(|error| error.to_string())
        };
        let config = parse(&[]).expect("the least there is");
        assert_eq!(config.service.listen.port(), 50_051);
        assert_eq!(config.service.queue_capacity, 100);
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
            (["--bundle-interval", "often"], "--bundle-interval"),
            (["--retention-grace", "2d"], "--retention-grace"),
            (["--retention-age", "5000d"], "--retention-age"),
            (["--listen", "here"], "--listen"),
            (["--log-format", "xml"], "--log-format"),
            (["--nope", "1"], "--nope"),
            (["--max-dataset-bytes", "0"], "--max-dataset-bytes"),
            (["--remote-write", "here"], "--remote-write"),
            (["--remote-write-token-file", "token"], "--remote-write <"),
            (["--remote-write-ca-file", "ca"], "--remote-write <"),
        ] {
            let error = parse(&arguments).expect_err(flag);
            assert!(error.contains(flag), "{error}");
        }
        assert!(config.dataset_cache().is_ok());
        let small = parse(&["--dataset-cache-bytes", "5"]).expect("a number");
        let error = small.dataset_cache().err().expect("too small");
        assert!(error.contains("--max-dataset-bytes"), "{error}");
    }

    #[test]
    fn files() {
        let good = folders(
            "[[dataset]]\nname = \"letters\"\npath = \"data/letters\"\ndescription = \"a to z\"\n",
            Path::new("/etc/digits"),
        )
        .expect("good");
        assert_eq!(good[0].path, Path::new("/etc/digits/data/letters"));
        assert_eq!(good[0].description, "a to z");
        let one = "[[dataset]]\nname = \"a\"\npath = \"a\"\n";
        for (text, part) in [
            ("[[dataset]]\nname = \"mnist\"\npath = \"x\"\n", "taken"),
            ("[[dataset]]\nname = \"A b\"\npath = \"x\"\n", "a-z"),
            ("[[dataset]]\nname = \"a\"\n", "path"),
            (
                "[[dataset]]\nname = \"a\"\npath = \"x\"\nsize = 3\n",
                "size",
            ),
            ("datasets = 3\n", "datasets"),
            (&format!("{one}{one}"), "taken"),
        ] {
            let error = folders(text, Path::new(".")).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
