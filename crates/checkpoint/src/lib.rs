//! The storage contract between the services: checkpoints and the serving log on a folder or bucket.
//!
//! A writer publishes checkpoints ([`publish`]), recovers unfinished publications after a crash
//! ([`publication`]) and appends to the serving log ([`serving`]). A reader follows that log ([`Follower`]) and
//! loads the checkpoints that it names ([`load`]), verifying every byte. Writers only create keys that do not
//! exist yet; only [`retention`] deletes.
//!
//! This crate runs no network: a reader runs the exam of a loaded checkpoint through every path of its own engine
//! and compares the results with [`check_exam`]. `docs/storage.md` describes the protocol and the formats.

mod catalog;
mod follow;
pub mod id;
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
pub mod serving;
mod storage;
mod tensors;
mod validate;

pub use catalog::{list_checkpoints, live_manifest, manifest};
pub use follow::Follower;
pub use load::{LoadError, Loaded, Unverified, fetch, load, model_file};
pub use publish::{Draft, publish};
pub use refusal::{Refusal, RefusalReason};
pub use storage::{Created, Entry, Storage, StorageError};
pub use tensors::{Exam, Layer, check_exam, encode_exam, encode_model};
pub use validate::limits;

/// SHA-256 of `bytes`, in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
