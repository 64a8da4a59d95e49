//! Pushes the curves of jobs that an earlier attempt or an earlier process began.

use super::context::WorkerContext;
use crate::{job::JobId, remote_write::Curve, store::StoreError};

/// Rows of a job that decide the times of the points after them: points of one millisecond get the
/// following ones, and no job has so many within it.
const EARLIER_ROWS: u32 = 4_096;

impl WorkerContext {
    /// The pushed series of a job, after the rows that it has.
    pub(super) async fn curve(&self, job: JobId, name: &str) -> Result<Curve, StoreError> {
        let earlier = match self.remote_write.is_on() {
            true => self.store.newest_rows(job, EARLIER_ROWS).await?,
            false => Vec::new(),
        };
        Ok(self.remote_write.curve(job, name, &earlier))
    }
}

/// Pushes again the newest points of the jobs that the last process left running: it may have died
/// before it pushed them.
///
/// # Errors
/// When the database cannot be read.
pub async fn push_interrupted(services: &WorkerContext) -> Result<(), StoreError> {
    if !services.remote_write.is_on() {
        return Ok(());
    }
    for (job, name) in services.store.interrupted_jobs().await? {
        let rows = services.store.newest_rows(job, EARLIER_ROWS).await?;
        services.remote_write.push_again(job, &name, &rows);
    }
    Ok(())
}
