//! Sources of MNIST: a folder, the cache, or a mirror.

use std::ffi::OsString;
use std::path::PathBuf;

/// Default mirrors, tried in this order.
pub const MIRRORS: [&str; 3] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://raw.githubusercontent.com/fgnt/mnist/master",
];

/// Places that MNIST is loaded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MnistSource {
    /// A folder with the four files, plain or gzipped. When given, nothing else is tried.
    pub dir: Option<PathBuf>,
    /// Folder that keeps downloaded files; created when needed.
    pub cache: PathBuf,
    /// Whether missing files may be downloaded.
    pub download: bool,
    /// Addresses of folders with the four `.gz` files, tried in this order.
    pub mirrors: Vec<String>,
}

impl Default for MnistSource {
    /// From the environment: `dir` from `DIGITS_MNIST_DIR`; `cache` is `digits/mnist` in
    /// `XDG_CACHE_HOME`, else in `~/.cache`; `mirrors` from `DIGITS_MNIST_MIRRORS` (separated by
    /// commas), else [`MIRRORS`]; with download. A variable that is empty counts as not set.
    fn default() -> Self {
        Self::from_variables(|name| std::env::var_os(name))
    }
}

impl MnistSource {
    pub(super) fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        // The XDG specification has relative paths ignored.
        let absolute = |name| {
            set(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let cache_home = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(std::env::temp_dir);
        let named: Vec<String> = set("DIGITS_MNIST_MIRRORS")
            .map(|list| list.to_string_lossy().into_owned())
            .iter()
            .flat_map(|list| list.split(','))
            .map(|mirror| mirror.trim().to_owned())
            .filter(|mirror| !mirror.is_empty())
            .collect();
        Self {
            dir: set("DIGITS_MNIST_DIR").map(PathBuf::from),
            cache: cache_home.join("digits").join("mnist"),
            download: true,
            mirrors: if named.is_empty() {
                MIRRORS.map(str::to_owned).to_vec()
            } else {
                named
            },
        }
    }
}

/// Progress of a file's download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Name of the file, with `.gz`.
    pub file: &'a str,
    /// Address of the mirror, without user and password.
    pub mirror: &'a str,
    /// Bytes received so far; starts again at 0 after a failed attempt.
    pub received_bytes: u64,
    /// Size of the file, when the mirror declares it.
    pub total_bytes: Option<u64>,
}
