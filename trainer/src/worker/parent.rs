//! The weights of the checkpoint that a job starts from: read once when the job begins, verified as a reader of
//! the storage verifies them (sizes, digests, shapes, finite numbers).

use super::{Tools, running::RunningJob};
use crate::train::InitialWeights;
use digits_checkpoint::{LoadError, StorageError, id::CheckpointId};
use std::{thread, time::Duration};

const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The weights of `id`; a storage that fails is tried again, unless the job is to stop. Fails with a reason for the
/// client.
pub(super) fn load(
    tools: &Tools,
    running: &RunningJob,
    id: CheckpointId,
) -> Result<InitialWeights, String> {
    let mut pause = FIRST_PAUSE;
    for tries in 1.. {
        let error = match tools
            .runtime
            .block_on(digits_checkpoint::load(&tools.storage, id))
        {
            Ok(loaded) => return Ok(InitialWeights::new(loaded.layers)),
            Err(error) => error,
        };
        tracing::warn!(checkpoint = %id, %error, tries, "the checkpoint to start from was not loaded");
        match error {
            LoadError::Refused(refusal) => {
                return Err(format!(
                    "init_from: the checkpoint {id} is damaged: {refusal}"
                ));
            }
            LoadError::Unavailable(StorageError::Missing { .. }) => {
                return Err(format!("init_from: the checkpoint {id} is no longer there"));
            }
            LoadError::Unavailable(_) if tries >= ATTEMPTS || running.stopped().is_some() => break,
            LoadError::Unavailable(_) => {}
        }
        thread::sleep(pause);
        pause *= 2;
    }
    Err(format!(
        "init_from: the checkpoint {id} cannot be read; the trainer's log says why"
    ))
}
