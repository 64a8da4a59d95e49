//! What lies on shared storage: the half of the contract between the services that is not on the wire.
//!
//! The writer's side publishes checkpoints ([`publish`]), sees each through to its end ([`intention`]) and
//! appends to the serving log ([`serving`]); the reader's side follows that log ([`Follower`]) and loads what it
//! names ([`load`]), trusting nothing that it has not verified. Writers only ever create keys that do not exist
//! yet; only [`retention`] deletes.
//!
//! This crate computes no answers: whoever loads a checkpoint runs its exam through every path of its own
//! engine and asks [`check_exam`]. `docs/storage.md` describes the protocol and the formats.

mod catalog;
mod follow;
pub mod id;
pub mod intention;
mod keys;
mod load;
pub mod manifest;
#[cfg(feature = "messages")]
pub mod messages;
mod publish;
pub mod record;
mod refusal;
pub mod retention;
pub mod serving;
mod storage;
mod tensors;
mod validate;

pub use catalog::{lasting_manifest, list_checkpoints, manifest};
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
