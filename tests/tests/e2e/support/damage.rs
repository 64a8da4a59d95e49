//! Bad checkpoints on the storage: a served checkpoint is copied under a new id, changed, and named
//! by a new serving record, past every check of the publisher.

use anyhow::{Context as _, Result};
use digits_e2e::sandbox::Sandbox;
use serde_json::Value;
use std::{fs, path::PathBuf};
use uuid::Uuid;

/// The files of a checkpoint, to be damaged.
pub struct Files {
    /// `manifest.json`.
    pub manifest: Value,
    /// `model.safetensors`.
    pub model: Vec<u8>,
    /// `exam.safetensors`.
    pub exam: Vec<u8>,
    /// Whether the manifest is written at all: without it the checkpoint is not committed.
    pub committed: bool,
}

impl Files {
    /// Makes the manifest's digests those of the files as they are now, so that only what the files
    /// contain can be wrong.
    pub fn sign(&mut self) {
        for (name, bytes) in [("model", &self.model), ("exam", &self.exam)] {
            let entry = &mut self.manifest["files"][name];
            entry["size_bytes"] = bytes.len().into();
            entry["sha256"] = digits_checkpoint::sha256_hex(bytes).into();
        }
    }
}

/// Copies the newest served checkpoint of the model `digits`, lets `damage` change the copy, and
/// makes it the head of the serving log. Returns the copy's id.
pub fn republish(sandbox: &Sandbox, damage: impl FnOnce(&mut Files)) -> Result<String> {
    let storage = sandbox.dir().join("storage");
    let head = head(&storage.join("serving/digits"))?;
    let mut record: Value = serde_json::from_slice(&fs::read(&head)?)?;
    let source = record["routes"][0]["checkpoint"]
        .as_str()
        .context("a checkpoint")?;
    let folder = storage.join("checkpoints").join(source);
    let mut files = Files {
        manifest: serde_json::from_slice(&fs::read(folder.join("manifest.json"))?)?,
        model: fs::read(folder.join("model.safetensors"))?,
        exam: fs::read(folder.join("exam.safetensors"))?,
        committed: true,
    };
    let id = Uuid::now_v7().to_string();
    files.manifest["id"] = id.clone().into();
    damage(&mut files);

    let folder = storage.join("checkpoints").join(&id);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("model.safetensors"), &files.model)?;
    fs::write(folder.join("exam.safetensors"), &files.exam)?;
    let manifest = serde_json::to_vec(&files.manifest)?;
    if files.committed {
        fs::write(folder.join("manifest.json"), &manifest)?;
    }
    record["routes"][0]["checkpoint"] = id.clone().into();
    record["routes"][0]["manifest_sha256"] = digits_checkpoint::sha256_hex(&manifest).into();
    append(sandbox, record)?;
    Ok(id)
}

/// Makes a record that a newer program wrote the head of the serving log; returns its sequence.
pub fn newer_record(sandbox: &Sandbox) -> Result<u64> {
    let head = head(&sandbox.dir().join("storage/serving/digits"))?;
    let mut record: Value = serde_json::from_slice(&fs::read(&head)?)?;
    record["format"] = 99.into();
    record["routes"] = "of another form".into();
    append(sandbox, record)
}

/// Appends a record behind the one that it was; returns its sequence.
fn append(sandbox: &Sandbox, mut record: Value) -> Result<u64> {
    let sequence = record["sequence"].as_u64().context("a sequence")? + 1;
    record["sequence"] = sequence.into();
    record["nonce"] = Uuid::now_v7().to_string().into();
    // Written whole, then linked into place, as a publisher does.
    let whole = sandbox.dir().join("record.json");
    fs::write(&whole, serde_json::to_vec(&record)?)?;
    let log = sandbox.dir().join("storage/serving/digits");
    fs::rename(whole, log.join(format!("{sequence:020}.json")))?;
    Ok(sequence)
}

/// Starts the log of another model with an unreadable record, whose protected checkpoints are
/// unknown.
pub fn unreadable_record(sandbox: &Sandbox) -> Result<()> {
    let log = sandbox.dir().join("storage/serving/other");
    fs::create_dir_all(&log)?;
    fs::write(log.join(format!("{:020}.json", 1)), "{")?;
    Ok(())
}

fn head(log: &std::path::Path) -> Result<PathBuf> {
    let records = fs::read_dir(log)?.map(|entry| Ok(entry?.path()));
    let mut records: Vec<PathBuf> = records.collect::<Result<_>>()?;
    records.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    records.into_iter().max().context("an empty serving log")
}
