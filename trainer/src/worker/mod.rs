//! Carries jobs out, one after another, on a thread of its own that owns all tensors of the job.
//!
//! The thread takes the oldest job that waits, loads its data set, trains it, and writes its end. Curves and
//! checkpoints leave through two more threads per job, in order and bounded, so that neither the disk nor the
//! storage holds the training back until they are far behind.

mod observer;
mod publisher;
mod recovery;
mod running;

pub use recovery::finish_intentions;
pub use running::{Registry, RunningJob, Stop};

use crate::{
    datasets::Catalog,
    job::{JobId, JobState},
    metrics::{JobInfo, Metrics, show_test},
    spec::{self, JobPlan},
    store::{Ending, Job, Store, StoreError},
    train::{self, Finished, Outcome, TrainError},
};
use digits_checkpoint::Storage;
use observer::{JobObserver, Recorder};
use prost::Message as _;
use publisher::{Publisher, PublisherContext};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Without a wake-up the queue is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What a worker needs.
#[derive(Clone)]
pub struct Tools {
    /// Jobs.
    pub store: Store,
    /// Checkpoints.
    pub storage: Storage,
    /// Data sets.
    pub catalog: Arc<Catalog>,
    /// Jobs that run, for those who want to stop or see them.
    pub registry: Arc<Registry>,
    /// Metrics.
    pub metrics: Metrics,
    /// The runtime that carries out the storage's calls.
    pub runtime: tokio::runtime::Handle,
}

/// Wakes the worker; cheap to clone.
#[derive(Clone)]
pub struct Wake(SyncSender<()>);

impl Wake {
    /// There may be a job.
    pub fn wake(&self) {
        match self.0.try_send(()) {
            // Full: it will look anyway.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// A running worker.
pub struct Worker {
    shutdown: Arc<AtomicBool>,
    wake: Wake,
    registry: Arc<Registry>,
    thread: thread::JoinHandle<()>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(tools: Tools) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(1);
        let shutdown = Arc::new(AtomicBool::new(false));
        let registry = Arc::clone(&tools.registry);
        let stopped = Arc::clone(&shutdown);
        let thread = thread::Builder::new()
            .name("worker".to_owned())
            .spawn(move || work(&tools, &receiver, &stopped))?;
        Ok(Self {
            shutdown,
            wake: Wake(sender),
            registry,
            thread,
        })
    }

    /// Wakes it.
    #[must_use]
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Stops the running job at its next step, which goes back to the queue, and returns the thread to wait for.
    #[must_use]
    pub fn stop(self) -> thread::JoinHandle<()> {
        self.shutdown.store(true, Ordering::Release);
        self.registry.stop_all(Stop::Shutdown);
        self.wake.wake();
        self.thread
    }
}

fn work(tools: &Tools, wake: &Receiver<()>, shutdown: &AtomicBool) {
    while !shutdown.load(Ordering::Acquire) {
        match tools.store.claim() {
            Ok(Some(job)) => run_job(tools, &job, shutdown),
            Ok(None) => {
                // A timeout is as good as a wake-up.
                let _ = wake.recv_timeout(LOOK_AGAIN);
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::error!(%error, "the queue cannot be read");
                let _ = wake.recv_timeout(LOOK_AGAIN);
            }
        }
    }
}

/// How a job's run ended.
enum Run {
    /// It is over.
    Ended(Ending),
    /// The process is about to end; the job waits for the next one.
    PutBack,
}

fn run_job(tools: &Tools, job: &Job, shutdown: &AtomicBool) {
    let begun = Instant::now();
    tracing::info!(job = %job.id, name = job.number, attempt = job.attempts, "job begins");
    let running = tools.registry.add(job.id);
    if shutdown.load(Ordering::Acquire) {
        running.stop(Stop::Shutdown);
    }
    let run = catch_unwind(AssertUnwindSafe(|| attempt(tools, job, &running)));
    tools.registry.remove(job.id);
    let run = run.unwrap_or_else(|panic| {
        tracing::error!(job = %job.id, panic = panic_text(&*panic), "a job panicked");
        Run::Ended(Ending::failed(
            "an internal error; the trainer's log has more".to_owned(),
        ))
    });
    let (state, result) = match run {
        Run::Ended(ending) => {
            let state = ending.state;
            tracing::info!(
                job = %job.id,
                state = state.as_str(),
                error = ending.error,
                seconds = begun.elapsed().as_secs_f64(),
                "job ends"
            );
            (state, tools.store.finish(job.id, ending))
        }
        Run::PutBack => {
            tracing::info!(job = %job.id, "job goes back to the queue");
            (JobState::Queued, tools.store.requeue(job.id))
        }
    };
    if state.is_end() {
        tools.metrics.job_finished(state, begun.elapsed());
    }
    if let Err(error) = result {
        // It stays marked as running, and the next start begins it again.
        tracing::error!(job = %job.id, %error, "the end of a job could not be written");
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

fn attempt(tools: &Tools, job: &Job, running: &Arc<RunningJob>) -> Run {
    match prepare_and_train(tools, job, running) {
        Ok(run) => run,
        Err(reason) => Run::Ended(Ending::failed(reason)),
    }
}

/// Errors are for the client: causes and paths go to the log.
fn prepare_and_train(tools: &Tools, job: &Job, running: &Arc<RunningJob>) -> Result<Run, String> {
    let internal = |error: StoreError| {
        tracing::error!(job = %job.id, %error, "the job database failed");
        "the trainer's job database failed; the trainer's log says why".to_owned()
    };
    let spec = digits_proto::v1::JobSpec::decode(job.resolved.as_slice())
        .map_err(|_| "its spec cannot be read by this version".to_owned())?;
    let plan = spec::plan(&spec, &tools.catalog).map_err(|found| {
        let found: Vec<String> = found
            .into_iter()
            .map(|violation| format!("{}: {}", violation.field, violation.message))
            .collect();
        found.join("; ")
    })?;
    let data = tools.catalog.load(&plan.dataset).map_err(|error| {
        tracing::error!(job = %job.id, %error, "a data set cannot be loaded");
        format!(
            "the data set {} cannot be loaded; the trainer's log says why",
            plan.dataset_name
        )
    })?;
    let device = plan.train.device.to_string();
    let series = tools.metrics.job_begins(JobInfo {
        job_id: job.id.to_string(),
        model: plan.model.to_string(),
        dataset: plan.dataset_name.clone(),
        device: device.clone(),
        preset: plan.preset.clone(),
    });
    let cancelled = tools
        .store
        .begun(job.id, device, data.digest.clone())
        .map_err(internal)?;
    if cancelled {
        running.stop(Stop::Cancel);
    }
    running.set_deadline(plan.deadline);
    let recorder = Recorder::start(tools.store.clone(), job.id).map_err(|_| no_thread())?;
    let publisher = Publisher::start(PublisherContext {
        tools: tools.clone(),
        job: job.id,
        plan: plan.clone(),
        spec,
        dataset_digest: data.digest.clone(),
        report_on: plan.report.then(|| Arc::clone(&data)),
        running: Arc::clone(running),
    })
    .map_err(|_| no_thread())?;
    let mut observer =
        JobObserver::new(running, &series, &tools.metrics, recorder, publisher, &plan);
    let trained = train::run(&plan.train, &data, None, &mut observer);
    let written = observer.close();
    series.end();
    if let Ok(Outcome {
        test: Some(test), ..
    }) = &trained
    {
        show_test(&series, test);
    }
    Ok(conclude(job.id, &plan, running, trained, written))
}

fn no_thread() -> String {
    "the machine gives no more threads".to_owned()
}

fn conclude(
    job: JobId,
    plan: &JobPlan,
    running: &RunningJob,
    trained: Result<Outcome, TrainError>,
    written: Result<(), String>,
) -> Run {
    let stop = running.stopped();
    let complete = written.is_ok()
        && matches!(&trained, Ok(outcome) if outcome.finished == Finished::Completed);
    match stop {
        // A stop also ends the publisher's patience with the storage, so its failure is no reason then.
        Some(Stop::Shutdown) if !complete => return Run::PutBack,
        Some(Stop::Cancel) if written.is_err() => return Run::Ended(Ending::cancelled()),
        _ => {}
    }
    let outcome = match (trained, written) {
        // The publisher's reason is the cause of the other.
        (_, Err(reason)) => return Run::Ended(Ending::failed(reason)),
        (Err(error), Ok(())) => {
            tracing::warn!(%job, %error, "a training failed");
            return Run::Ended(Ending::failed(told(&error)));
        }
        (Ok(outcome), Ok(())) => outcome,
    };
    let ending = match (outcome.finished, stop) {
        (Finished::Completed, _) => Ending {
            state: JobState::Succeeded,
            test: outcome.test,
            ..Ending::cancelled()
        },
        (Finished::Stopped, Some(Stop::Deadline)) => Ending::failed(format!(
            "the deadline of {} seconds passed at step {} of {}",
            plan.deadline.unwrap_or_default().as_secs_f64(),
            outcome.steps,
            plan.steps
        )),
        (Finished::Stopped, _) => Ending::cancelled(),
    };
    Run::Ended(Ending {
        step: Some(outcome.steps),
        train_seconds: outcome.train_seconds,
        validation_seconds: outcome.validation_seconds,
        ..ending
    })
}

/// What the client is told of a failed training.
fn told(error: &TrainError) -> String {
    match error {
        TrainError::Panic(_) => "an internal error; the trainer's log has more".to_owned(),
        error => error.to_string(),
    }
}
