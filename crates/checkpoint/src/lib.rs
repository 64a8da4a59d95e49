//! The storage contract between the services: checkpoints and the serving log on a folder or
//! bucket.
//!
//! A writer publishes checkpoints ([`publish`]), recovers unfinished publications after a crash
//! ([`publication`]) and appends to the serving log ([`serving`]). A reader follows that log
//! ([`Follower`]) and loads the checkpoints that it names ([`load`]), verifying every byte. Attempts
//! that train outside the trainer's process report through the storage ([`runs`]), and a trainer may
//! keep the changes of its database there ([`journal`]). Writers only create keys that do not exist
//! yet; only [`retention`] deletes, and the trainer what is left of attempts and of its journal.
//!
//! This crate runs no network: a reader runs the exam of a loaded checkpoint through every path of
//! its own engine and compares the results with [`check_exam`] and [`check_probabilities`].
//! `docs/storage.md` describes the protocol and the formats.
//!
//! ```
//! use digits_checkpoint::{Draft, Exam, Layer, Storage, encode_exam, encode_model, load, publish};
//! use digits_checkpoint::{id::CheckpointId, record::Role, serving};
//! # use std::error::Error;
//! # fn main() -> Result<(), Box<dyn Error>> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let folder = tempfile::tempdir()?;
//! let storage = Storage::open(&folder.path().display().to_string())?;
//!
//! // A network from 1×2 pixels to two classes, and an exam of one image.
//! let weight = vec![1.0, 0.0, 0.0, 1.0];
//! let layer = Layer { outputs: 2, inputs: 2, weight, bias: vec![0.0; 2] };
//! let exam = Exam { inputs: vec![0, 255], logits: vec![0.0, 1.0], images: 1 };
//! let id = CheckpointId::generate();
//! let manifest = serde_json::from_value(serde_json::json!({
//!     "format": 1, "id": id, "model": "bars", "created_at": "2026-01-01T00:00:00Z",
//!     "architecture": {"input_size": 2, "hidden": [], "classes": 2, "activation": "relu"},
//!     "input": {"height": 1, "width": 2, "scale": 255.0, "mean": 0.0, "std": 1.0},
//!     "labels": ["left", "right"], "picture_normalization": "none", "temperature": 1.0,
//!     "metrics": {},
//!     // `publish` fills in the digests.
//!     "files": {
//!         "model": {"sha256": "", "size_bytes": 0},
//!         "exam": {"sha256": "", "size_bytes": 0},
//!     },
//!     "lineage": {
//!         "seed": 0, "epoch": 0, "step": 0, "device": "cpu", "dataset": "", "dataset_digest": "",
//!         "split_digest": "", "program_version": "", "libtorch_version": "",
//!     },
//! }))?;
//! let (model, exam) = (encode_model(&[layer]), encode_exam(&exam, 2, 2));
//! let draft = Draft { manifest, model, exam };
//! let manifest = publish(&storage, draft).await?;
//!
//! // An operator promotes it as the first record of the serving log.
//! let candidate = serving::Candidate { checkpoint: id, role: Role::Primary, share: None };
//! let record = serving::promote(&storage, &manifest.model, 0, candidate, "an operator").await?;
//! assert_eq!((record.sequence, record.primary()), (1, Some(id)));
//!
//! // A reader loads it, verified.
//! let loaded = load(&storage, id).await?;
//! assert_eq!(loaded.layers[0].outputs, 2);
//! # Ok(())
//! # })
//! # }
//! ```

mod catalog;
mod follow;
pub mod id;
pub mod journal;
mod keys;
mod load;
pub mod manifest;
#[cfg(feature = "messages")]
pub mod messages;
pub mod publication;
mod publish;
pub mod record;
mod refusal;
pub mod retention;
pub mod runs;
pub mod serving;
mod signature;
mod storage;
mod tensors;
mod trainer_name;
pub mod unfinished;
mod validate;

pub use catalog::{list_checkpoints, live_manifest, manifest};
pub use follow::{Follower, LogFault, LogFaults, Replacement};
pub use keys::{parse_record_file, record_file};
pub use load::{LoadError, Loaded, Unverified, fetch, files, load, model_file};
pub use publish::{Draft, publish};
pub use refusal::{Refusal, RefusalReason};
pub use signature::{InvalidKeys, Keys, Untrusted};
pub use storage::{Created, Entry, Storage, StorageError, WriteGuard};
pub use tensors::{Exam, Layer, check_exam, check_probabilities, encode_exam, encode_model};
pub use validate::limits;

/// SHA-256 of `bytes`, in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    hex::encode(Sha256::digest(bytes))
}
