//! The objects of an in-process cluster, shared by its API and its controllers.

use super::{controllers, objects::Objects};
use digits_testing::patience;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Objects that several tasks share; watches wait for changes.
pub struct Shared {
    objects: Mutex<Objects>,
    version: watch::Sender<u64>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            objects: Mutex::default(),
            version: watch::Sender::new(0),
        }
    }
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes objects, then has the controllers react.
    pub fn change<T>(&self, change: impl FnOnce(&mut Objects) -> T) -> T {
        let (result, version) = {
            let mut objects = self.lock();
            let result = change(&mut objects);
            controllers::react(&mut objects);
            (result, objects.version())
        };
        self.version.send_replace(version);
        result
    }

    /// Waits for a change after `version`, or for as long as a watch may be silent.
    pub async fn changed_since(&self, version: u64) {
        let mut versions = self.version.subscribe();
        let changed = versions.wait_for(|now| *now > version);
        let _ = tokio::time::timeout(patience(), changed).await;
    }
}
