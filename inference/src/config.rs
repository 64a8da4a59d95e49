//! Configuration: flags and environment variables, checked before any port opens.

use crate::predict::batch::InlineLimits;
use clap::{Args, Parser, Subcommand};
use digits_checkpoint::id::ModelName;
use digits_server::DEFAULT_MAX_MESSAGE_BYTES;
use digits_service::{Error, ServiceFlags, man::ManConfig, parse_duration};
use std::{collections::BTreeSet, net::SocketAddr, num::NonZeroU64, path::PathBuf, time::Duration};

/// Largest number of models of a process: each has its own metric series and its own loader.
const MAX_MODELS: usize = 16;
/// Default of `--poll-interval` for a folder.
const POLL_FOLDER: Duration = Duration::from_millis(250);
/// Default of `--poll-interval` for a bucket.
const POLL_BUCKET: Duration = Duration::from_secs(2);

/// Classifies images with the newest checkpoints on shared storage, over gRPC and HTTP.
#[derive(Debug, Parser)]
#[command(
    name = "digits-inference",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct CommandLine {
    /// A task other than serving.
    #[command(subcommand)]
    pub task: Option<Task>,
    /// Configuration of the service.
    #[command(flatten)]
    pub config: Config,
}

/// Tasks other than serving.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Checks whether a running service is ready: exits with 0 if it is, else with 1.
    Health {
        /// Address of the admin port of the running service.
        #[arg(long, env = "DIGITS_ADMIN_LISTEN", default_value = "127.0.0.1:9052")]
        admin_listen: SocketAddr,
    },
    /// Writes the man pages of this program into a folder.
    Man(ManConfig),
}

/// Configuration of the service.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Address of the gRPC port; port 0 selects a free one.
    #[arg(long, env = "DIGITS_LISTEN", default_value = "127.0.0.1:50052")]
    pub listen: SocketAddr,
    /// Address of the admin port with /metrics, /livez and /readyz; port 0 selects a free one.
    #[arg(long, env = "DIGITS_ADMIN_LISTEN", default_value = "127.0.0.1:9052")]
    pub admin_listen: SocketAddr,
    /// Shared storage with the checkpoints: a folder, file:///folder, s3://bucket/prefix,
    /// gs://bucket/prefix or az://container/prefix (credentials from the environment variables
    /// AWS_*, GOOGLE_* or AZURE_*).
    #[arg(long, env = "DIGITS_STORAGE", required = true)]
    pub storage: Option<String>,
    /// Models to serve, 1 to 16, separated by commas. The service is ready once all of them are
    /// served.
    #[arg(long, env = "DIGITS_MODELS", default_value = ModelName::DEFAULT, value_delimiter = ',')]
    pub models: Vec<ModelName>,
    /// Pins models to a serving record, such as digits=12; separate several with commas. The
    /// replica then ignores newer records of these models.
    #[arg(long, env = "DIGITS_PIN", value_name = "MODEL=SEQUENCE", value_delimiter = ',', value_parser = parse_pin)]
    pub pin: Vec<(ModelName, NonZeroU64)>,
    /// Public keys (PEM, Ed25519) whose signatures are trusted, one after the other. Only serving
    /// records that one of them signed are served. Without it, whoever can write to the storage
    /// decides what is served.
    #[arg(long, env = "DIGITS_TRUSTED_KEYS", value_name = "FILE")]
    pub trusted_keys: Option<PathBuf>,
    /// Folder of this replica alone, in which the highest sequence seen of each model is
    /// remembered: no older record is served after a restart. Used with --trusted-keys.
    #[arg(long, env = "DIGITS_STATE", value_name = "FOLDER")]
    pub state: Option<PathBuf>,
    /// Time between two reads of the storage, such as 250ms or 2s; at least 10ms [default: 250ms
    /// for a folder, 2s for S3].
    #[arg(long, env = "DIGITS_POLL_INTERVAL", value_parser = parse_duration)]
    pub poll_interval: Option<Duration>,
    /// Maximum number of images in a request that sends them as pixels; requests with more are
    /// refused. Of pictures of numbers it is the maximum number of segments; pictures with more are
    /// read as one digit.
    #[arg(long, env = "DIGITS_MAX_IMAGES", default_value_t = 4096, value_parser = parse_count)]
    pub max_images: usize,
    /// Maximum number of encoded pictures in a request; requests with more are refused.
    #[arg(long, env = "DIGITS_MAX_PICTURES", default_value_t = 256, value_parser = parse_count)]
    pub max_pictures: usize,
    /// Maximum size of an encoded picture, in pixels (width × height); larger ones are refused.
    #[arg(long, env = "DIGITS_MAX_PICTURE_PIXELS", default_value_t = 65_000_000, value_parser = parse_pixels)]
    pub max_picture_pixels: u64,
    /// Memory that decoding may take, over all requests and by the headers of the pictures, in bytes:
    /// further pictures wait, and one that takes more alone is refused.
    #[arg(long, env = "DIGITS_MAX_PICTURE_MEMORY", default_value_t = 256 << 20, value_parser = parse_count)]
    pub max_picture_memory: usize,
    /// Maximum size of the encoded pictures of all requests that wait to be decoded or are decoded,
    /// in bytes; further requests are refused at once.
    #[arg(long, env = "DIGITS_MAX_QUEUED_PICTURE_BYTES", default_value_t = 256 << 20, value_parser = parse_count)]
    pub max_queued_picture_bytes: usize,
    /// Maximum number of the pixels of these pictures, by their headers; a picture counts as at least
    /// 250,000, and further requests are refused at once.
    #[arg(long, env = "DIGITS_MAX_QUEUED_PICTURE_PIXELS", default_value_t = 1_000_000_000, value_parser = parse_pixels)]
    pub max_queued_picture_pixels: u64,
    /// Maximum size of a request and of a response message, in bytes; larger requests are refused.
    #[arg(long, env = "DIGITS_MAX_MESSAGE_BYTES", default_value_t = DEFAULT_MAX_MESSAGE_BYTES, value_parser = parse_count)]
    pub max_message_bytes: usize,
    /// Maximum number of concurrent requests; further ones are refused at once.
    #[arg(long, env = "DIGITS_MAX_IN_FLIGHT", default_value_t = 1024, value_parser = parse_count)]
    pub max_in_flight: usize,
    /// Maximum number of queued requests for large networks; further ones are refused at once.
    #[arg(long, env = "DIGITS_MAX_QUEUED", default_value_t = 512, value_parser = parse_count)]
    pub max_queued: usize,
    /// Maximum size of the images of all queued requests for large networks, in bytes; further
    /// requests are refused at once.
    #[arg(long, env = "DIGITS_MAX_QUEUED_BYTES", default_value_t = 64 << 20, value_parser = parse_count)]
    pub max_queued_bytes: usize,
    /// Largest request, in multiply-adds (those of one image times the number of images), that is
    /// computed on the thread that received it; larger requests wait in the queue.
    #[arg(long, env = "DIGITS_MAX_INLINE_MULTIPLY_ADDS", default_value_t = InlineLimits::default().max_request_multiply_adds)]
    pub max_inline_multiply_adds: usize,
    /// Largest network, in multiply-adds per image (its number of weights), that is computed on the
    /// thread that received the request; larger ones are computed in batches from the queue.
    #[arg(long, env = "DIGITS_MAX_INLINE_IMAGE_MULTIPLY_ADDS", default_value_t = InlineLimits::default().max_image_multiply_adds)]
    pub max_inline_image_multiply_adds: usize,
    /// Flags that both services have.
    #[command(flatten)]
    pub service: ServiceFlags,
}

impl Config {
    /// Checks what involves several flags.
    ///
    /// # Errors
    /// [`Error::Config`] that names the flag.
    pub fn check(&self) -> Result<(), Error> {
        let names: BTreeSet<&ModelName> = self.models.iter().collect();
        let pinned: BTreeSet<&ModelName> = self.pin.iter().map(|(model, _)| model).collect();
        let refuse = |reason: String| Err(Error::Config(reason));
        if names.len() != self.models.len() {
            return refuse("--models must name each model once".to_owned());
        }
        if names.is_empty() || names.len() > MAX_MODELS {
            let count = names.len();
            return refuse(format!(
                "--models must name 1 to {MAX_MODELS} models, not {count}"
            ));
        }
        if pinned.len() < self.pin.len() {
            return refuse("--pin must name each model once".to_owned());
        }
        if let Some(model) = pinned.difference(&names).next() {
            return refuse(format!(
                "--pin names the model {model}, which is not in --models: add it there"
            ));
        }
        let min = Duration::from_millis(10);
        if self.poll_interval.is_some_and(|interval| interval < min) {
            return refuse("--poll-interval must be at least 10ms".to_owned());
        }
        Ok(())
    }

    /// The sequence that a model is pinned to, if it is.
    #[must_use]
    pub fn pinned(&self, model: &ModelName) -> Option<NonZeroU64> {
        let mut pins = self.pin.iter();
        pins.find(|(name, _)| name == model)
            .map(|(_, sequence)| *sequence)
    }

    /// The storage's address, which clap requires.
    #[must_use]
    pub fn storage_url(&self) -> &str {
        self.storage.as_deref().unwrap_or_default()
    }

    /// Time between two reads of the storage.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let url = self.storage_url();
        let bucket = url.contains("://") && !url.starts_with("file://");
        self.poll_interval
            .unwrap_or(if bucket { POLL_BUCKET } else { POLL_FOLDER })
    }
}

fn parse_pin(text: &str) -> Result<(ModelName, NonZeroU64), String> {
    let form = "must be a model and the sequence of one of its serving records, such as digits=12";
    let (model, sequence) = text.split_once('=').ok_or(form)?;
    let model = model.parse().map_err(|_| form)?;
    Ok((model, sequence.parse().map_err(|_| form)?))
}

fn parse_count(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=1 << 30).contains(count))
        .ok_or_else(|| "must be a whole number from 1 to 1073741824".to_owned())
}

fn parse_pixels(text: &str) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=1 << 30).contains(count))
        .ok_or_else(|| "must be a whole number from 1 to 1073741824".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, String> {
        let all = [&["digits-inference"], arguments].concat();
        let line = CommandLine::try_parse_from(all).map_err(|error| error.to_string())?;
        let checked = line.config.check().map_err(|error| error.line());
        checked.map(|()| line.config)
    }

    #[test]
    fn the_configuration_is_checked_and_has_defaults() {
        let config = parse(&["--storage", "/tmp/x"]).expect("the required flags");
        assert_eq!(config.interval(), Duration::from_millis(250));
        assert_eq!(config.models, [ModelName::default()]);
        let config = parse(&["--storage", "s3://a/b", "--models", "a,b"]).expect("two models");
        assert_eq!(config.interval(), Duration::from_secs(2));
        let config = parse(&["--storage", "x", "--models", "a,b", "--pin", "b=7"]).expect("a pin");
        let pinned = |name: &str| config.pinned(&name.parse().expect("a name"));
        assert_eq!((pinned("a"), pinned("b")), (None, NonZeroU64::new(7)));
        let bad: [(&[&str], &str); 10] = [
            (&["--storage", "x", "--pin", "digits"], "--pin"),
            (&["--storage", "x", "--pin", "digits=0"], "--pin"),
            (&["--storage", "x", "--pin", "other=1"], "--pin"),
            (&["--storage", "x", "--pin", "digits=1,digits=2"], "--pin"),
            (&[], "--storage"),
            (&["--storage", "x", "--models", "a,a"], "--models"),
            (&["--storage", "x", "--models", "A"], "--models"),
            (
                &["--storage", "x", "--poll-interval", "1ms"],
                "--poll-interval",
            ),
            (&["--storage", "x", "--max-images", "0"], "--max-images"),
            (&["--storage", "x", "--log-format", "xml"], "--log-format"),
        ];
        for (arguments, flag) in bad {
            let error = parse(arguments).err().unwrap_or_default();
            assert!(error.contains(flag), "{arguments:?}: {error:?}");
        }
    }

    #[test]
    fn the_health_check_needs_no_storage() {
        let line = CommandLine::try_parse_from(["digits-inference", "health"]).expect("parses");
        assert!(matches!(line.task, Some(Task::Health { .. })));
    }
}
