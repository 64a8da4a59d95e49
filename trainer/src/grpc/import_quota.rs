//! Which imports a client may begin, and what it has used of its quotas.

use super::errors::{self, store as store_status};
use crate::{
    metrics::Metrics,
    quotas::{QuotaExceeded, Quotas},
    store::{ImportUse, Store},
};
use digits_server::{RequestContext, retry_status};
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

/// Concurrent imports: each may hold a whole network in memory.
const MAX_IMPORTS: usize = 1;
/// About the time that an import takes.
const IMPORT_RETRY: Duration = Duration::from_secs(5);

/// Lets clients import.
pub struct ImportQuota {
    store: Store,
    quotas: Quotas,
    metrics: Metrics,
    places: Arc<Semaphore>,
}

/// An import of a client, which [`Self::settle`] ends.
pub(super) struct Allowance {
    store: Store,
    metrics: Metrics,
    client: String,
    max_bytes: Option<u64>,
    before: u64,
    used: ImportUse,
    is_counted: bool,
    /// Taken when it is dropped.
    place: Option<OwnedSemaphorePermit>,
}

impl ImportQuota {
    /// Imports within `quotas`; `store` has what was imported before.
    #[must_use]
    pub fn new(store: Store, quotas: Quotas, metrics: Metrics) -> Self {
        Self {
            store,
            quotas,
            metrics,
            places: Arc::new(Semaphore::new(MAX_IMPORTS)),
        }
    }

    /// Begins an import of the client of a request.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED while another import is in progress, or when the client has used up a
    /// quota.
    pub(super) async fn begin(&self, context: &RequestContext) -> Result<Allowance, Status> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = "another import is in progress: retry when it is done";
            retry_status(message, IMPORT_RETRY)
        })?;
        let client = context.client_name().to_owned();
        let Quotas {
            quota_imports: max_imports,
            quota_import_bytes: max_bytes,
            ..
        } = self.quotas;
        let is_counted = max_imports.is_some() || max_bytes.is_some();
        let before = match is_counted {
            true => self.store.imported_by(client.clone()).await,
            false => Ok(ImportUse::default()),
        };
        let before = before.map_err(|error| store_status(error, ""))?;
        let allowance = Allowance {
            store: self.store.clone(),
            metrics: self.metrics.clone(),
            client,
            max_bytes,
            before: before.bytes,
            used: ImportUse::default(),
            is_counted,
            place: Some(place),
        };
        match max_imports {
            Some(max) if before.imports >= max => {
                Err(allowance.refuse(QuotaExceeded::Imports(before.imports)))
            }
            _ => Ok(allowance),
        }
    }
}

impl Allowance {
    /// Accounts for bytes of the file.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when they are more than the quota.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Status> {
        self.used.bytes = self.used.bytes.saturating_add(bytes as u64);
        let total = self.before.saturating_add(self.used.bytes);
        match self.max_bytes {
            Some(max) if total > max => Err(self.refuse(QuotaExceeded::ImportBytes(max))),
            _ => Ok(()),
        }
    }

    /// Accounts for the checkpoint.
    pub(super) fn imported(&mut self) {
        self.used.imports = 1;
    }

    /// Accounts for what was used, and ends the import.
    pub(super) async fn settle(mut self) {
        let used = std::mem::take(&mut self.used);
        if self.is_counted {
            add(&self.store, self.client.clone(), used).await;
        }
    }

    fn refuse(&self, quota: QuotaExceeded) -> Status {
        self.metrics.quota_exceeded(quota);
        errors::quota(quota)
    }
}

/// The bytes count also when the client leaves before the end of the file.
impl Drop for Allowance {
    fn drop(&mut self) {
        let used = std::mem::take(&mut self.used);
        if used == ImportUse::default() || !self.is_counted {
            return;
        }
        let (store, client, place) = (self.store.clone(), self.client.clone(), self.place.take());
        tokio::spawn(async move {
            add(&store, client, used).await;
            // The next import reads what this one has used.
            drop(place);
        });
    }
}

async fn add(store: &Store, client: String, used: ImportUse) {
    if let Err(error) = store.add_import(client, used).await {
        tracing::warn!(%error, "an import is not counted in the quotas of its client");
    }
}
