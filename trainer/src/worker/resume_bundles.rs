//! The bundles that an attempt may resume from, newest first.

use super::bundles::{Bundles, StoredBundle, decode};
use crate::{attempt::ResumePoint, job::JobId, metrics::Metrics};
use digits_checkpoint::{Storage, runs::Attempt};
use std::{collections::VecDeque, sync::Arc};
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
        /// The one that was returned last.
        returned: Option<StoredBundle>,
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
    pub(super) fn next(&mut self, metrics: &Metrics) -> Option<Vec<u8>> {
        let job = self.job;
        let damaged = |reason: &str| {
            metrics.bundle_refused();
            tracing::warn!(%job, reason, "a resume bundle is damaged; resuming from the previous one or from the start");
        };
        match &mut self.source {
            Source::State { bundles, returned } => {
                if let Some(refused) = returned.take() {
                    bundles.discard(&refused);
                }
                let found = bundles.read(job, damaged)?;
                Some(returned.insert(found).bytes.clone())
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
                    let read = runtime.block_on(attempt.bundle(storage, point.number));
                    match read {
                        Ok(Some(file)) => match decode(&file) {
                            Some((_, bytes)) => return Some(bytes.to_vec()),
                            None => damaged("its digest does not match"),
                        },
                        Ok(None) => damaged("it is not on the storage"),
                        Err(error) => damaged(&error.to_string()),
                    }
                }
                None
            }
        }
    }
}
