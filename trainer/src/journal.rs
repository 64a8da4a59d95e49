//! Sets the journal of the job database up, and waits until this process holds it.

use crate::{
    config::Config,
    store::{JournalLimits, JournalSettings, JournalState, Store, Takeover},
};
use digits_checkpoint::{
    Storage,
    journal::{Fence, Identity, Journal},
};
use digits_service::Error;
use digits_telemetry::readiness::Readiness;
use jiff::Timestamp;
use std::{fs, io, path::Path, sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Shortest time of the lease: signs of life are three times as frequent.
const MIN_LEASE: Duration = Duration::from_secs(1);
/// File with the id of the state folder.
const FOLDER_ID: &str = "journal-id";

/// The journal that the flags ask for, and the storage on which this process writes only while it
/// holds the journal.
///
/// # Errors
/// When a flag is wrong or the state folder cannot be written.
pub(crate) fn settings(
    config: &Config,
    storage: Storage,
) -> Result<(Storage, Option<JournalSettings>), Error> {
    let flags = &config.journal;
    let Some(name) = flags.trainer_name.clone().filter(|_| flags.journal) else {
        return Ok((storage, None));
    };
    if flags.journal_lease < MIN_LEASE {
        return Err(Error::Config(
            "--journal-lease takes at least 1s: a shorter pause of the storage would cost the trainer its place".to_owned(),
        ));
    }
    let folder = folder_id(&config.state);
    let identity = Identity {
        nonce: Uuid::now_v7().to_string(),
        folder: folder.map_err(Error::unavailable("--state cannot be used"))?,
        host: host(),
        since: Timestamp::now(),
    };
    let journal = Journal::new(storage.clone(), name);
    let fence = Fence::new(journal.clone(), &identity);
    let (state, _) = watch::channel(JournalState::Starting);
    let settings = JournalSettings {
        journal,
        identity,
        fence: fence.clone(),
        takeover: match flags.recover_from_storage {
            true => Takeover::AtOnce,
            false => Takeover::WhenSilent,
        },
        lease: flags.journal_lease,
        limits: JournalLimits::default(),
        runtime: Handle::current(),
        state,
    };
    Ok((storage.guarded(Arc::new(fence)), Some(settings)))
}

/// Waits until this process holds the journal, if there is one; `/readyz` shows why it does not.
///
/// # Errors
/// When the journal cannot be used.
pub(crate) async fn await_turn(store: &Store, readiness: &Readiness) -> Result<(), Error> {
    let Some(mut state) = store.journal() else {
        return Ok(());
    };
    loop {
        let now = state.borrow_and_update().clone();
        match now {
            JournalState::Starting => {}
            JournalState::Held | JournalState::Unwritable(_) => {
                readiness.set_not_ready("starting");
                return Ok(());
            }
            JournalState::HeldBy(host) => {
                let reason = format!(
                    "another process holds the journal of this trainer, on {host}: waiting until it stops or falls silent for the time of --journal-lease; --recover-from-storage takes over at once"
                );
                tracing::warn!("{reason}");
                readiness.set_not_ready(reason);
            }
            JournalState::Unreachable(error) => {
                readiness.set_not_ready(format!("the journal cannot be read; retrying: {error}"));
            }
            JournalState::Failed(reason) => return Err(unusable(reason)),
        }
        if state.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// Cancels `shutdown` once another process has taken over.
pub(crate) fn stop_when_replaced(store: &Store, shutdown: &CancellationToken) {
    let (Some(mut state), shutdown) = (store.journal(), shutdown.clone()) else {
        return;
    };
    tokio::spawn(async move {
        let failed = |state: &JournalState| matches!(state, JournalState::Failed(_));
        if state.wait_for(failed).await.is_ok() {
            shutdown.cancel();
        }
    });
}

/// Whether this process still holds the journal at its end, if there is one.
///
/// # Errors
/// When another one has taken over.
pub(crate) fn check_end(state: Option<&watch::Receiver<JournalState>>) -> Result<(), Error> {
    match state.map(|state| state.borrow().clone()) {
        Some(JournalState::Failed(reason)) => Err(unusable(reason)),
        _ => Ok(()),
    }
}

fn unusable(reason: String) -> Error {
    Error::unavailable("--journal cannot be used")(reason)
}

/// The id of a state folder, which is made at the first start.
fn folder_id(state: &Path) -> io::Result<String> {
    let file = state.join(FOLDER_ID);
    match fs::read_to_string(&file) {
        Ok(id) if !id.is_empty() => Ok(id),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => {
            let id = Uuid::now_v7().to_string();
            fs::create_dir_all(state)?;
            fs::write(&file, &id)?;
            Ok(id)
        }
    }
}

/// Name of this machine, for people.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "an unknown machine".to_owned(),
        name => name.to_owned(),
    }
}
