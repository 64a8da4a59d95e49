//! The bundles that an attempt may resume from, newest first.

use super::{
    bundles::{Bundles, decode, discard},
    error::PublishError,
    outage::Outages,
};
use crate::{attempt::ResumePoint, job::JobId, metrics::Metrics};
use digits_checkpoint::{Storage, runs::Attempt};
use std::{collections::VecDeque, path::PathBuf, sync::Arc};
use tokio::runtime::Handle;

/// The bundles that an attempt may resume from.
pub(super) struct ResumeBundles {
    job: JobId,
    source: Source,
}

enum Source {
    /// In the state folder.
    State {
        bundles: Arc<Bundles>,
        /// File of the one that was returned last.
        returned: Option<PathBuf>,
    },
    /// On the storage.
    Storage {
        storage: Storage,
        runtime: Handle,
        left: VecDeque<ResumePoint>,
    },
}

impl ResumeBundles {
    pub(super) fn in_state(job: JobId, bundles: Arc<Bundles>) -> Self {
        let source = Source::State {
            bundles,
            returned: None,
        };
        Self { job, source }
    }

    /// Those of `points`, newest first; read on `runtime`.
    pub(super) fn on_storage(
        job: JobId,
        storage: Storage,
        runtime: Handle,
        points: &[ResumePoint],
    ) -> Self {
        let source = Source::Storage {
            storage,
            runtime,
            left: points.iter().copied().collect(),
        };
        Self { job, source }
    }

    /// The newest bundle that is intact and was not returned before. Damaged ones are counted.
    ///
    /// # Errors
    /// When the storage fails for longer than `outages` allow: the bundle may be intact.
    pub(super) fn next(
        &mut self,
        metrics: &Metrics,
        outages: &Outages<'_>,
    ) -> Result<Option<Vec<u8>>, PublishError> {
        let job = self.job;
        let damaged = |reason: &str| {
            metrics.bundle_refused();
            tracing::warn!(%job, reason, "a resume bundle is damaged; resuming from the previous one or from the start");
        };
        match &mut self.source {
            Source::State { bundles, returned } => {
                if let Some(refused) = returned.take() {
                    discard(&refused);
                }
                Ok(bundles.read(job, damaged).map(|found| {
                    *returned = Some(found.path);
                    found.bytes
                }))
            }
            Source::Storage {
                storage,
                runtime,
                left,
            } => {
                while let Some(point) = left.pop_front() {
                    let attempt = Attempt {
                        job: job.to_string(),
                        number: point.attempt,
                    };
                    let read = || async {
                        let read = attempt.bundle(storage, point.number);
                        read.await.map_err(PublishError::Storage)
                    };
                    match runtime.block_on(outages.outlast(read))? {
                        Some(file) => match decode(&file) {
                            Some((_, bytes)) => return Ok(Some(bytes.to_vec())),
                            None => damaged("its digest does not match"),
                        },
                        None => damaged("it is not on the storage"),
                    }
                }
                Ok(None)
            }
        }
    }
}
