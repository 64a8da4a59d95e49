//! Signs the serving log of a storage that was written without keys.

use super::{
    error::{AppendError, PromotionError},
    guard::promised,
    log::{Proposal, any_record, append, newest_after, newest_trusted},
};
use crate::{id::ModelName, record::ServingRecord, storage::Storage};

/// Appends the newest record again, signed, with the digest of each manifest: from then on the log
/// is trusted, and with it the files of the checkpoints that serve. `None` if the newest record is
/// signed already. The caller vouches for what the storage holds now. Not cancel-safe: when
/// dropped, the record may exist or still appear.
///
/// # Errors
/// [`AppendError::Refused`] for an empty log, for a checkpoint that is deleted or changed, and
/// where an earlier record is signed: then somebody without the key wrote the newest;
/// [`AppendError::Lost`]; [`AppendError::Storage`].
pub async fn sign(
    storage: &Storage,
    model: &ModelName,
    by: &str,
) -> Result<Option<ServingRecord>, AppendError> {
    let newest = newest_after(storage, model, 0).await?;
    let newest = newest.ok_or(PromotionError::NothingServes)?;
    if let Some(signed) = newest_trusted(storage, model, 1..=newest).await? {
        let signed = signed.sequence;
        if signed == newest {
            return Ok(None);
        }
        return Err(PromotionError::SignedBefore { signed, newest }.into());
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
