//! Checks the machine: binaries, libtorch, GPU, storage, MNIST.

use super::check::Check;
use digits_checkpoint::{Storage, StorageError};
use digits_dataset::mnist::{self, MnistSource};
use std::{
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};
use tokio::{process::Command, time::timeout};

/// Longest wait for another program, or for the storage.
const PATIENCE: Duration = Duration::from_secs(30);

/// libtorch, the trainer that links it, and a GPU for it.
pub async fn trainer() -> Vec<Check> {
    let (torch, engine, gpu) = (libtorch(), version("digits-trainer"), gpu().await);
    vec![torch, engine.await, gpu]
}

/// The inference service's binary.
pub async fn inference() -> Check {
    version("digits-inference").await
}

/// Whether a binary of this program's folder, else of PATH, starts.
async fn version(name: &str) -> Check {
    let build =
        "build it with `make build`, and keep it in the folder of `digits` or in one of PATH";
    let Some(path) = find(name) else {
        return Check::fail(
            name,
            "not found in the folder of `digits` nor in PATH",
            build,
        );
    };
    match output(Command::new(&path).arg("--version")).await {
        Err(reason) => Check::fail(name, format!("{}: {reason}", path.display()), build),
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout)
                .trim()
                .replace('\n', ", ");
            Check::ok(name, format!("{text} ({})", path.display()))
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr)
                .trim()
                .replace('\n', "; ");
            let remedy = "`make libtorch` fetches libtorch; set LIBTORCH if it is elsewhere";
            Check::fail(name, format!("does not start: {text}"), remedy)
        }
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe()
        .ok()
        .and_then(|it| it.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = own.into_iter().chain(std::env::split_paths(&path));
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

async fn output(command: &mut Command) -> Result<Output, String> {
    command
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    match timeout(PATIENCE, command.output()).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer in {PATIENCE:?}")),
    }
}

/// libtorch at LIBTORCH, else in a private environment of `make libtorch`.
fn libtorch() -> Check {
    let remedy = "`make libtorch` fetches it into a private Python environment";
    if let Some(dir) = std::env::var_os("LIBTORCH").filter(|it| !it.is_empty()) {
        let dir = PathBuf::from(dir);
        let library = dir.join("lib/libtorch_cpu.so");
        return match library.exists() {
            true => Check::ok("libtorch", format!("{} (LIBTORCH)", dir.display())),
            false => Check::fail(
                "libtorch",
                format!(
                    "LIBTORCH is {}, which has no lib/libtorch_cpu.so",
                    dir.display()
                ),
                "set LIBTORCH to the folder that has lib/ in it, or unset it and run `make libtorch`",
            ),
        };
    }
    match private_libtorch(&cache()) {
        Some(dir) => Check::ok("libtorch", dir.display().to_string()),
        None => Check::warn(
            "libtorch",
            format!("LIBTORCH is not set and {} has none", cache().display()),
            remedy,
        ),
    }
}

fn cache() -> PathBuf {
    let set = |name| {
        std::env::var_os(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    let home = || set("HOME").unwrap_or_default().join(".cache");
    set("DIGITS_CACHE").unwrap_or_else(|| set("XDG_CACHE_HOME").unwrap_or_else(home).join("digits"))
}

/// `<cache>/torch-*/lib/python*/site-packages/torch`.
fn private_libtorch(cache: &Path) -> Option<PathBuf> {
    let entries = |dir: &Path, prefix: &'static str| {
        let all = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let mut names: Vec<PathBuf> = all
            .filter(|it| it.file_name().to_string_lossy().starts_with(prefix))
            .map(|it| it.path())
            .collect();
        names.sort();
        names
    };
    let environments = entries(cache, "torch-").into_iter().rev();
    environments
        .flat_map(|it| entries(&it.join("lib"), "python"))
        .map(|it| it.join("site-packages/torch"))
        .find(|it| it.join("lib/libtorch_cpu.so").exists())
}

async fn gpu() -> Check {
    let none = "jobs run on the CPU, and `--device cuda` is refused";
    let list = output(Command::new("nvidia-smi").arg("-L")).await;
    let names = list.ok().filter(|it| it.status.success()).map(|it| {
        let text = String::from_utf8_lossy(&it.stdout).into_owned();
        let names = text
            .lines()
            .map(|line| line.split(" (UUID").next().unwrap_or(line).to_owned());
        names.collect::<Vec<_>>().join(", ")
    });
    match names {
        Some(names) if !names.is_empty() => Check::ok("gpu", names),
        _ if Path::new("/dev/nvidia0").exists() => Check::warn(
            "gpu",
            "/dev/nvidia0 is there, but nvidia-smi does not work",
            "check the NVIDIA driver",
        ),
        _ => Check::warn("gpu", "none found", none),
    }
}

/// Whether the storage can be written and never overwrites.
pub async fn storage(url: Option<&str>) -> Check {
    let Some(url) = url else {
        let remedy = "give --storage URL or set DIGITS_STORAGE to check it";
        return Check::warn("storage", "not checked", remedy);
    };
    let remedy = "name a folder (file:///…) or bucket (s3://…, gs://…, az://…) that this user may write, with its credentials in AWS_*, GOOGLE_* or AZURE_*";
    let storage = match Storage::open(url) {
        Ok(storage) => storage,
        Err(error) => return Check::fail("storage", error.to_string(), remedy),
    };
    match timeout(PATIENCE, storage.probe()).await {
        Ok(Ok(())) => Check::ok(
            "storage",
            format!(
                "{} takes new keys and refuses to overwrite them",
                storage.url()
            ),
        ),
        // Its message has the remedy: no permission helps.
        Ok(Err(error @ StorageError::NoHardLinks { .. })) => {
            let remedy =
                "name a folder on another file system, or a bucket (s3://…, gs://…, az://…)";
            Check::fail("storage", error.to_string(), remedy)
        }
        Ok(Err(error)) => Check::fail("storage", error.to_string(), remedy),
        Err(_) => Check::fail("storage", format!("no answer in {PATIENCE:?}"), remedy),
    }
}

/// Whether MNIST is here, without downloading it.
pub async fn mnist() -> Check {
    let load = || {
        mnist::load(
            &MnistSource {
                download: false,
                ..MnistSource::default()
            },
            &mut |_| {},
        )
    };
    let remedy = "set DIGITS_MNIST_DIR to a folder with the four files; without it the trainer downloads them";
    match tokio::task::spawn_blocking(load).await {
        Ok(Ok(data)) => Check::ok(
            "mnist",
            format!(
                "{} + {} images",
                data.train.images.count, data.test.images.count
            ),
        ),
        Ok(Err(error)) => Check::warn("mnist", error.to_string(), remedy),
        Err(error) => Check::warn("mnist", error.to_string(), remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Outcome;
    use super::*;

    #[test]
    fn the_private_libtorch_is_found() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(private_libtorch(dir.path()), None);
        let torch = dir
            .path()
            .join("torch-2.11.0/lib/python3.12/site-packages/torch");
        std::fs::create_dir_all(torch.join("lib")).expect("folders");
        std::fs::write(torch.join("lib/libtorch_cpu.so"), "").expect("a file");
        assert_eq!(private_libtorch(dir.path()), Some(torch));
    }

    #[tokio::test]
    async fn storage_is_tried() {
        let dir = tempfile::tempdir().expect("a folder");
        let url = format!("file://{}", dir.path().display());
        assert_eq!(storage(Some(&url)).await.outcome, Outcome::Ok);
        assert_eq!(storage(None).await.outcome, Outcome::Warn);
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("a file");
        let check = storage(Some(&format!("file://{}/below", file.display()))).await;
        assert_eq!(check.outcome, Outcome::Fail);
        assert!(!check.remedy.is_empty());
    }
}
