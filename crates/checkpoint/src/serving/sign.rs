//! Signs the serving log of a storage that was written without keys, or with another one.

use super::{
    error::{AppendError, PromotionError},
    guard::promised,
    log::{Proposal, any_record, append, newest_after, newest_signed, read},
};
use crate::{
    id::ModelName,
    record::ServingRecord,
    signature::{Kind, Untrusted},
    storage::Storage,
};

/// Appends the newest record again, signed, with the digest of each manifest: from then on the log
/// is trusted, and with it the files of the checkpoints that serve. `None` if this storage's key
/// has signed the newest record already. The caller vouches for what the storage holds now. Not
/// cancel-safe: when dropped, the record may exist or still appear.
///
/// # Errors
/// [`AppendError::Refused`] for an empty log, for a checkpoint that is deleted or changed, for a
/// record that another key has signed, which is not trusted, and for one without a signature after
/// one that has any: somebody without the key wrote it; [`AppendError::Lost`];
/// [`AppendError::Storage`].
pub async fn sign(
    storage: &Storage,
    model: &ModelName,
    by: &str,
) -> Result<Option<ServingRecord>, AppendError> {
    let newest = newest_after(storage, model, 0).await?;
    let newest = newest.ok_or(PromotionError::NothingServes)?;
    let found = read(storage, model, newest).await?;
    let (_, bytes) = found.ok_or(PromotionError::UnknownRecord(newest))?;
    let Some(keys) = storage.keys() else {
        return Ok(None);
    };
    match keys.verify(Kind::ServingRecord(model), &bytes) {
        Ok(()) if keys.is_signer_of(&bytes) => return Ok(None),
        Ok(()) => {}
        Err(Untrusted::Unsigned) => {
            if let Some(signed) = newest_signed(storage, model, newest).await? {
                return Err(PromotionError::SignedBefore { signed, newest }.into());
            }
        }
        Err(reason) => {
            let sequence = newest;
            return Err(PromotionError::UntrustedRecord { sequence, reason }.into());
        }
    }
    let unsigned = any_record(storage, model, newest).await?;
    let unsigned = unsigned.ok_or(PromotionError::UnknownRecord(newest))?;
    let mut routes = Vec::with_capacity(unsigned.routes.len());
    for route in &unsigned.routes {
        let stored = promised(storage, model, route).await?;
        routes.push(stored.route(route.role, route.share));
    }
    let proposal = Proposal {
        routes,
        hold: unsigned.hold,
        reason: unsigned.reason,
        by: by.to_owned(),
        note: None,
    };
    append(storage, model, newest, proposal).await.map(Some)
}
