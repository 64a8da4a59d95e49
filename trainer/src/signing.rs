//! Opens what `--signing-key` and `--trusted-keys` name: the key that signs what this trainer
//! writes, and the keys whose signatures it trusts.

use crate::config::TrainerFlags;
use digits_checkpoint::{InvalidKeys, Keys, Storage};
use digits_service::Error;
use std::{fmt::Display, fs, path::Path};

/// The storage, on which what this trainer writes is signed, if it has a key.
///
/// # Errors
/// [`Error::Config`] for a file that cannot be used.
pub(crate) fn with_keys(storage: Storage, flags: &TrainerFlags) -> Result<Storage, Error> {
    let mut keys = match (&flags.signing_key, &flags.trusted_keys) {
        (None, None) => return Ok(storage),
        (None, Some(_)) => {
            let reason = "--trusted-keys needs --signing-key: a trainer that signs nothing promotes nothing that is trusted";
            return Err(Error::Config(reason.to_owned()));
        }
        (Some(file), _) => read("--signing-key", file, Keys::signing)?,
    };
    if let Some(file) = &flags.trusted_keys {
        keys = keys.and(read("--trusted-keys", file, Keys::trusting)?);
    }
    tracing::info!(
        ?keys,
        "checkpoints and serving records are signed with the first of these keys; only what they signed is promoted"
    );
    Ok(storage.with_keys(keys))
}

fn read(
    flag: &str,
    file: &Path,
    parse: impl FnOnce(&[u8]) -> Result<Keys, InvalidKeys>,
) -> Result<Keys, Error> {
    let invalid =
        |error: &dyn Display| Error::Config(format!("{flag} {}: {error}", file.display()));
    let pem = fs::read(file).map_err(|error| invalid(&error))?;
    parse(&pem).map_err(|error| invalid(&error))
}
