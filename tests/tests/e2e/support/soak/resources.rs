//! What the services hold: memory, descriptors, threads, files of the state and of the storage.

use super::slope::{Series, Slope};
use anyhow::{Context as _, Result};
use digits_e2e::{process::Service, sandbox::Sandbox};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

const MEBIBYTE: f64 = 1_048_576.0;
const KIBIBYTE: f64 = 1_024.0;

/// Every series, the bound of its slope per hour, and what it gains by chance over a run
/// (docs/reliability.md).
const SERIES: [(&str, f64, f64); 11] = [
    ("trainer: memory, MiB", 16.0, 16.0),
    ("trainer: descriptors", 6.0, 0.0),
    ("trainer: threads", 6.0, 1.0),
    ("inference: memory, MiB", 16.0, 16.0),
    ("inference: descriptors", 6.0, 0.0),
    ("inference: threads", 6.0, 1.0),
    ("database, KiB for each job", 1.0, 0.0),
    ("database's log, MiB", 1.0, 1.0),
    ("resume bundles", 6.0, 0.0),
    ("checkpoints that no serving record names", 6.0, 2.0),
    ("storage, KiB for each serving record", 1.0, 0.0),
];

/// Samples the resources of both services.
pub struct Resources {
    trainer: u32,
    inference: u32,
    state: PathBuf,
    storage: PathBuf,
    series: Vec<Series>,
}

impl Resources {
    /// Of the services of a sandbox.
    pub fn of(sandbox: &Sandbox) -> Result<Self> {
        let series = SERIES.map(|(name, bound, noise)| Series {
            name,
            bound,
            noise,
            points: Vec::new(),
        });
        Ok(Self {
            trainer: sandbox.trainer().map(Service::pid)?,
            inference: sandbox.inference().map(Service::pid)?,
            state: sandbox.dir().join("state"),
            storage: sandbox.dir().join("storage"),
            series: series.into(),
        })
    }

    /// Takes one sample of each; `jobs` have been accepted.
    pub fn sample(&mut self, at: Duration, jobs: u64) -> Result<()> {
        let [trainer, inference] = [process(self.trainer)?, process(self.inference)?];
        let database = self.state.join("jobs.sqlite3");
        let [records, unnamed] = self.records()?;
        let values = trainer.into_iter().chain(inference).chain([
            size(&database)? / KIBIBYTE / jobs.max(1) as f64,
            size(&self.state.join("jobs.sqlite3-wal"))? / MEBIBYTE,
            count(&self.state.join("bundles"))?,
            unnamed,
            size(&self.storage)? / KIBIBYTE / records.max(1.0),
        ]);
        for (series, value) in self.series.iter_mut().zip(values) {
            series.points.push((at.as_secs_f64() / 3_600.0, value));
        }
        Ok(())
    }

    /// The slopes after the warm-up.
    #[must_use]
    pub fn slopes(&self, warm_up: Duration) -> Vec<Slope> {
        let warm_up = warm_up.as_secs_f64() / 3_600.0;
        self.series
            .iter()
            .map(|series| Slope::of(series, warm_up))
            .collect()
    }

    /// Serving records, and checkpoints that none of them names.
    fn records(&self) -> Result<[f64; 2]> {
        let mut named = BTreeSet::new();
        let mut records = 0.0;
        for record in fs::read_dir(self.storage.join("serving/digits"))? {
            let text = fs::read(record?.path())?;
            // A record is created by a link, whole.
            let record: serde_json::Value = serde_json::from_slice(&text)?;
            let routes = record["routes"].as_array().context("routes")?;
            let ids = routes
                .iter()
                .filter_map(|route| route["checkpoint"].as_str());
            named.extend(ids.map(str::to_owned));
            records += 1.0;
        }
        let mut unnamed = 0.0;
        for checkpoint in fs::read_dir(self.storage.join("checkpoints"))? {
            let id = checkpoint?.file_name().to_string_lossy().into_owned();
            unnamed += f64::from(!named.contains(&id));
        }
        Ok([records, unnamed])
    }
}

/// Memory in MiB, descriptors and threads of a process.
fn process(pid: u32) -> Result<[f64; 3]> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let status = fs::read_to_string(directory.join("status"))?;
    let number = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        Ok(word.with_context(|| format!("no {name}"))?.parse()?)
    };
    Ok([
        number("VmRSS:")? / KIBIBYTE,
        count(&directory.join("fd"))?,
        number("Threads:")?,
    ])
}

/// Entries of a folder; 0 without it.
fn count(folder: &Path) -> Result<f64> {
    Ok(there(fs::read_dir(folder))?.map_or(0.0, |entries| entries.count() as f64))
}

/// Bytes of a file, or of all files in a folder; 0 of what is being deleted.
fn size(path: &Path) -> Result<f64> {
    let Some(metadata) = there(fs::metadata(path))? else {
        return Ok(0.0);
    };
    if metadata.is_file() {
        return Ok(metadata.len() as f64);
    }
    let Some(entries) = there(fs::read_dir(path))? else {
        return Ok(0.0);
    };
    let mut sum = 0.0;
    for entry in entries {
        sum += size(&entry?.path())?;
    }
    Ok(sum)
}

/// Nothing for what was deleted meanwhile.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}
