//! `digits sign` and `digits key`: signs what a storage serves, and creates the keys for it.

use crate::{
    args::{At, KeyFile, Sign, SigningKeys},
    context::Context,
};
use digits_checkpoint::{InvalidKeys, Keys};
use digits_cli::{Error, error::read_file, registry};
use digits_proto::json;
use serde_json::{Value, json};
use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

/// Runs `digits sign`.
pub async fn sign(args: Sign, context: &Context) -> Result<(), Error> {
    let keys = signing(&args.signing_key, args.trusted_keys.as_deref())?;
    let signed = registry::sign(&args.storage, keys, &args.model, &args.by).await?;
    let model = &args.model;
    let line = match &signed {
        Some(record) => format!(
            "record {} serves the same as before, signed; now start digits-inference with --trusted-keys",
            record.sequence
        ),
        None => format!("what the model {model} serves is signed already"),
    };
    let record = signed.unwrap_or_default();
    context.show(|| json::display(&record), || vec![line])
}

/// Runs `digits key create`.
pub fn create_key(args: &KeyFile, context: &Context) -> Result<(), Error> {
    let pem = Keys::generate().map_err(|_| Error::Random)?;
    let keys = Keys::signing(pem.as_bytes()).map_err(|error| invalid(&args.file, &error))?;
    // Never over an earlier key: what it signed could not be signed again.
    let created = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.file);
    created
        .and_then(|mut file| file.write_all(pem.as_bytes()))
        .map_err(|source| Error::Write {
            path: args.file.clone(),
            source,
        })?;
    context.hint(&format!(
        "the private key is in {}, for --signing-key; this is its public key, for --trusted-keys:",
        args.file.display()
    ));
    show(&keys, context)
}

/// Runs `digits key show`.
pub fn show_keys(args: &KeyFile, context: &Context) -> Result<(), Error> {
    let keys = read(&args.file, |pem| {
        Keys::trusting(pem).or_else(|error| Keys::signing(pem).map_err(|_| error))
    })?;
    show(&keys, context)
}

/// The public keys, each after its id: readers of PEM ignore lines between keys.
fn show(keys: &Keys, context: &Context) -> Result<(), Error> {
    let all: Vec<(&str, String)> = keys.ids().zip(keys.public_pem()).collect();
    let document = || -> Value {
        let one = |(id, pem): &(&str, String)| json!({ "key_id": id, "public_key": pem });
        json!({ "keys": all.iter().map(one).collect::<Vec<_>>() })
    };
    let lines = || {
        let one = |(id, pem): &(&str, String)| format!("key {id}\n{}", pem.trim_end());
        all.iter().map(one).collect()
    };
    context.show(document, lines)
}

/// The keys for a change on a storage, if one is to be signed.
///
/// # Errors
/// [`Error::Input`] for a file that cannot be used.
pub fn keys(flags: &SigningKeys, at: &At) -> Result<Option<Keys>, Error> {
    // A trainer has keys of its own.
    let file = at.storage.as_ref().and(flags.signing_key.as_ref());
    let Some(file) = file else {
        return Ok(None);
    };
    signing(file, flags.trusted_keys.as_deref()).map(Some)
}

fn signing(file: &Path, trusted: Option<&Path>) -> Result<Keys, Error> {
    let keys = read(file, Keys::signing)?;
    match trusted {
        Some(file) => Ok(keys.and(read(file, Keys::trusting)?)),
        None => Ok(keys),
    }
}

fn read(
    file: &Path,
    parse: impl FnOnce(&[u8]) -> Result<Keys, InvalidKeys>,
) -> Result<Keys, Error> {
    parse(&read_file(file)?).map_err(|error| invalid(file, &error))
}

fn invalid(file: &Path, error: &InvalidKeys) -> Error {
    Error::input(file.display().to_string(), error)
}
