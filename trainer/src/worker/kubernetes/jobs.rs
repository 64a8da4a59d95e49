//! Starts and stops workers as Jobs of a cluster.

use super::{
    cluster::{Cluster, Watches},
    error::ClusterError,
    manifest::{self, JobParts, Owner},
    observe::observe,
    settings::JobSettings,
    sweep::sweep,
};
use crate::{
    job::{WaitCause, now_us},
    store::Store,
    worker::{
        context::WorkerContext,
        error::LaunchError,
        launcher::{AtShutdown, Launcher, Start, WorkerExit, WorkerStatus},
    },
};
use digits_checkpoint::runs::Attempt;
use digits_telemetry::supervisor::{Supervisor, Task};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Time in which the worker of a cancelled job ends: its pod is deleted by a controller, and then
/// has its own grace period, of which this is a part.
const STOP_GRACE: Duration = Duration::from_secs(30);
/// Time in which a Job that was created shows in the watch.
const SHOWS_WITHIN: Duration = Duration::from_secs(5);
/// Interval at which events and Workloads are read for the reason why a worker does not run.
const REASON_INTERVAL: Duration = Duration::from_secs(5);

/// Workers as Jobs of a cluster.
pub(in crate::worker) struct Jobs {
    settings: JobSettings,
    cluster: Cluster,
    known: Mutex<HashMap<Attempt, Known>>,
    runtime: Handle,
    /// Ends the watches.
    _watches: DropGuard,
}

/// What this process knows of a worker.
#[derive(Debug, Default)]
struct Known {
    created: Option<Instant>,
    /// Its Job is being deleted.
    deleted: bool,
    /// It is not waited for any more.
    killed: bool,
    /// Why it does not run, and when that was read.
    reason: Option<(Instant, Option<String>)>,
}

impl Jobs {
    /// Connects to the cluster. Must be called in a runtime.
    ///
    /// # Errors
    /// When no cluster is configured.
    pub(in crate::worker) async fn connect(
        settings: JobSettings,
        context: &WorkerContext,
    ) -> Result<Self, ClusterError> {
        let (store, storage) = (context.store.clone(), context.storage.clone());
        let supervisor = &context.supervisor;
        let namespace = settings.namespace.as_deref();
        let (cluster, watches) = Cluster::connect(namespace, storage).await?;
        let stop = CancellationToken::new();
        start(
            supervisor,
            &cluster,
            watches,
            store,
            settings.time_to_live,
            &stop,
        );
        Ok(Self {
            settings,
            cluster,
            known: Mutex::default(),
            runtime: Handle::current(),
            _watches: stop.drop_guard(),
        })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Attempt, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn create(&self, start: &Start<'_>) -> Result<(), ClusterError> {
        let gpu = start.device.starts_with("cuda");
        let (template, device) = match (&self.settings.gpu_template, start.device) {
            (Some(template), "auto") => (template, "cuda:0"),
            (Some(template), device) if gpu => (template, device),
            (_, "auto") => (&self.settings.template, "cpu"),
            (_, device) => (&self.settings.template, device),
        };
        let owner = self.owner().await?;
        let parts = JobParts {
            attempt: start.attempt,
            device,
            owner: owner.as_ref(),
            queue: self.settings.queue.as_deref(),
        };
        let pods = self.cluster.template(template).await?;
        let job = manifest::job(template, pods, &parts)?;
        self.cluster.create_job(job).await
    }

    /// Looked up for each Job: the StatefulSet may have been replaced while its pods went on.
    async fn owner(&self) -> Result<Option<Owner>, ClusterError> {
        match &self.settings.owner {
            Some(name) => self.cluster.owner(name).await.map(Some),
            None => Ok(None),
        }
    }

    /// Deletes the Job of an attempt, unless its worker has ended by itself: its log may be of use.
    async fn delete(&self, attempt: &Attempt) -> Result<(), ClusterError> {
        let name = manifest::name(attempt);
        match self.observed(&name) {
            WorkerStatus::Ended(exit) if !exit.evicted => Ok(()),
            _ => self.cluster.delete_job(&name).await,
        }
    }

    /// What the watches have seen of a Job and its pods.
    fn observed(&self, name: &str) -> WorkerStatus {
        let job = self.cluster.job(name);
        let now = now_us() / 1_000_000;
        observe(job.as_deref(), &self.cluster.pods(name), now)
    }

    /// A Job that the watch has not seen.
    fn unseen(&self, attempt: &Attempt) -> WorkerStatus {
        let created = self.known().get(attempt).and_then(|known| known.created);
        if created.is_some_and(|at| at.elapsed() < SHOWS_WITHIN) {
            return WorkerStatus::Running;
        }
        let name = manifest::name(attempt);
        match self.runtime.block_on(self.cluster.has_job(&name)) {
            Ok(false) => WorkerStatus::Missing,
            Ok(true) => WorkerStatus::Running,
            Err(error) => {
                tracing::debug!(%attempt, %error, "it is not known whether a worker has a Job");
                WorkerStatus::Running
            }
        }
    }

    /// Why a worker does not run, in the words of the cluster's controllers.
    fn reason(&self, attempt: &Attempt, cause: WaitCause) -> Option<String> {
        let known = self.known().get(attempt).and_then(|it| it.reason.clone());
        if let Some((at, reason)) = known
            && at.elapsed() < REASON_INTERVAL
        {
            return reason;
        }
        let name = manifest::name(attempt);
        let job = self.cluster.job(&name)?.metadata.uid.clone()?;
        let pods = self.cluster.pods(&name);
        let pod = pods.first().and_then(|pod| pod.metadata.uid.clone());
        let read = async {
            match cause {
                WaitCause::Queue => self.cluster.held(&job).await,
                WaitCause::Placement => Ok(None),
                WaitCause::Start => self.cluster.warning(pod.as_ref().unwrap_or(&job)).await,
            }
        };
        let reason = self.runtime.block_on(read).unwrap_or_else(|error| {
            tracing::debug!(%attempt, %error, "it is not known why a worker does not run");
            None
        });
        let read = (Instant::now(), reason.clone());
        self.known().entry(attempt.clone()).or_default().reason = Some(read);
        reason
    }
}

impl Launcher for Jobs {
    async fn launch(&self, start: &Start<'_>) -> Result<(), LaunchError> {
        let attempt = start.attempt;
        if attempt.number > 1 {
            let earlier = Attempt {
                number: attempt.number - 1,
                ..attempt.clone()
            };
            self.delete(&earlier).await?;
        }
        self.create(start).await?;
        tracing::info!(%attempt, job = manifest::name(attempt), "Job of a worker created");
        let known = Known {
            created: Some(Instant::now()),
            ..Known::default()
        };
        self.known().insert(attempt.clone(), known);
        Ok(())
    }

    fn status(&self, attempt: &Attempt) -> WorkerStatus {
        if self.known().get(attempt).is_some_and(|known| known.killed) {
            return WorkerStatus::Ended(WorkerExit::default());
        }
        if !self.cluster.is_listed() {
            return WorkerStatus::Running;
        }
        match self.observed(&manifest::name(attempt)) {
            WorkerStatus::Missing => self.unseen(attempt),
            WorkerStatus::Waiting { cause, reason } => WorkerStatus::Waiting {
                cause,
                reason: self.reason(attempt, cause).unwrap_or(reason),
            },
            status => status,
        }
    }

    fn stop(&self, attempt: &Attempt) {
        if self.known().get(attempt).is_some_and(|known| known.deleted) {
            return;
        }
        match self.runtime.block_on(self.delete(attempt)) {
            Ok(()) => self.known().entry(attempt.clone()).or_default().deleted = true,
            Err(error) => {
                tracing::debug!(%attempt, %error, "the Job of a worker is not deleted yet")
            }
        }
    }

    fn stop_grace(&self) -> Duration {
        STOP_GRACE
    }

    fn at_shutdown(&self) -> AtShutdown {
        AtShutdown::Leave
    }

    fn kill(&self, attempt: &Attempt) {
        self.known().entry(attempt.clone()).or_default().killed = true;
        if let Err(error) = self.runtime.block_on(self.delete(attempt)) {
            // The sweep repeats it.
            tracing::warn!(%attempt, %error, "the Job of a worker that is not needed cannot be deleted");
        }
    }

    fn forget(&self, attempt: &Attempt) {
        self.known().remove(attempt);
        let Some(job) = self.cluster.job(&manifest::name(attempt)) else {
            return;
        };
        let expire = self
            .cluster
            .expire_job(&job, self.settings.time_to_live.as_secs());
        if let Err(error) = self.runtime.block_on(expire) {
            // The sweep repeats it.
            tracing::warn!(%attempt, %error, "the Job of a worker that has ended is not deleted in time");
        }
    }
}

/// Starts the watches and the sweep.
fn start(
    supervisor: &Supervisor,
    cluster: &Cluster,
    watches: Watches,
    store: Store,
    time_to_live: Duration,
    stop: &CancellationToken,
) {
    let (cluster, until) = (cluster.clone(), stop.clone());
    let run = async move {
        let sweeping = sweep(&cluster, &store, time_to_live);
        let watching = async { tokio::join!(watches, sweeping) };
        let _ = until.run_until_cancelled(watching).await;
    };
    // Its end is that of the launcher.
    drop(supervisor.watch(Task::new("job_watch"), stop.clone(), run));
}
