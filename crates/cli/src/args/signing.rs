//! Flags of `digits sign` and `digits key`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Sign {
    /// Storage to sign: file:///folder, a folder's path, s3://bucket/prefix, gs://bucket/prefix or
    /// az://container/prefix (credentials in AWS_*, GOOGLE_* or AZURE_*).
    #[arg(long, value_name = "URL")]
    pub storage: String,
    /// Private key (PEM, Ed25519) that signs.
    #[arg(long, value_name = "FILE", env = "DIGITS_SIGNING_KEY")]
    pub signing_key: PathBuf,
    /// Public keys (PEM, Ed25519) that are trusted beside --signing-key: what they signed is signed
    /// again.
    #[arg(long, value_name = "FILE", env = "DIGITS_TRUSTED_KEYS")]
    pub trusted_keys: Option<PathBuf>,
    /// Name of the model.
    #[arg(long, default_value = "digits")]
    pub model: String,
    /// Who signs; stored in the serving record.
    #[arg(long, env = "USER", default_value = "")]
    pub by: String,
}

#[derive(Debug, Subcommand)]
pub enum Key {
    /// Create a private key, and print its public key.
    ///
    /// The private key is for the trainer's --signing-key, the public key for the --trusted-keys of
    /// the inference service.
    Create(KeyFile),
    /// Print the public keys of a file, with the ids that signatures have.
    Show(KeyFile),
}

#[derive(Debug, Args)]
pub struct KeyFile {
    /// File with the keys (PEM).
    pub file: PathBuf,
}
