//! Readiness of the process, as reported by `/readyz`. gRPC health is separate.

use std::sync::{Arc, PoisonError, RwLock};

/// The readiness of this process; clones share it. It starts as not ready, with the reason
/// `starting`.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Reason for not being ready; `None` when ready.
    reason: Arc<RwLock<Option<String>>>,
    /// What is full; `None` when nothing is.
    saturation: Arc<RwLock<Option<&'static str>>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Not ready, because starting.
    #[must_use]
    pub fn new() -> Self {
        Self {
            reason: Arc::new(RwLock::new(Some("starting".to_owned()))),
            saturation: Arc::default(),
        }
    }

    /// Ready from now on.
    pub fn set_ready(&self) {
        self.set(None);
    }

    /// Not ready from now on; `/readyz` shows `reason`.
    pub fn set_not_ready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    /// Notes what is full, or that nothing is. A process that is full stays ready: without it, its
    /// load would fall on others, and they would be full next.
    pub fn set_saturation(&self, full: Option<&'static str>) {
        let saturation = self.saturation.write();
        *saturation.unwrap_or_else(PoisonError::into_inner) = full;
    }

    /// What is full.
    #[must_use]
    pub fn saturation(&self) -> Option<&'static str> {
        *self
            .saturation
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// `Ok` when ready.
    ///
    /// # Errors
    /// The reason why the process is not ready.
    pub fn check(&self) -> Result<(), String> {
        match &*self.reason.read().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(reason) => Err(reason.clone()),
        }
    }

    fn set(&self, reason: Option<String>) {
        *self.reason.write().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_switch() {
        let readiness = Readiness::new();
        let other = readiness.clone();
        assert_eq!(other.check(), Err("starting".to_owned()));
        readiness.set_ready();
        assert_eq!(other.check(), Ok(()));
        other.set_not_ready("draining");
        assert_eq!(readiness.check(), Err("draining".to_owned()));
    }
}
