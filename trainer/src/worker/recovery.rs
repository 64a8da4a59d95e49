//! At the start: every checkpoint whose end the last process did not see is finished or abandoned.

use super::publisher::{Failure, promote};
use crate::store::{IntentionState, Store};
use digits_checkpoint::Storage;

/// Finishes every intention whose manifest is on the storage (its promotion is carried out) and abandons the
/// others: their weights died with the process, and the job makes them again. Returns how many of each.
///
/// # Errors
/// When database or storage fail; then nothing is decided and the next start tries again.
pub async fn finish_intentions(store: &Store, storage: &Storage) -> anyhow::Result<(usize, usize)> {
    let reader = store.clone();
    let unfinished = tokio::task::spawn_blocking(move || reader.unfinished_checkpoints()).await??;
    let (mut finished, mut abandoned) = (0, 0);
    for intention in unfinished {
        let id = intention.id;
        let manifest = digits_checkpoint::manifest(storage, id)
            .await
            .map_err(Failure::from)?;
        let writer = store.clone();
        match manifest {
            Some(manifest) => {
                let sequence = promote(storage, &manifest, intention.job, intention.promotion)
                    .await
                    .map_err(Failure::from)?;
                tokio::task::spawn_blocking(move || {
                    if intention.state == IntentionState::Planned {
                        writer.checkpoint_committed(id)?;
                    }
                    writer.checkpoint_done(id, sequence)
                })
                .await??;
                tracing::info!(checkpoint = %id, "a checkpoint of the last process was finished");
                finished += 1;
            }
            None => {
                tokio::task::spawn_blocking(move || writer.checkpoint_abandoned(id)).await??;
                tracing::info!(checkpoint = %id, "a checkpoint of the last process was abandoned");
                abandoned += 1;
            }
        }
    }
    Ok((finished, abandoned))
}
