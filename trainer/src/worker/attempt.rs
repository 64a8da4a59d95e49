//! One attempt to carry a job out, from the queue to its end or back.

use super::{
    keeper::Keeper,
    observer::{JobObserver, Outlets, Recorder, Recording},
    parent,
    pool::{Place, Tools},
    publisher::{Publisher, PublisherContext},
    running::{RunningJob, Stop},
};
use crate::{
    datasets::{self, NotFound},
    job::{JobId, JobState},
    metrics::{JobInfo, show_test},
    spec::{self, JobPlan, JobRequest},
    store::{Ending, Job},
    train::{self, Finished, Outcome, TrainError},
    wire::SpecMessage,
};
use digits_dataset::Dataset;
use digits_telemetry::{panic_text, traces::KeyValue};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

/// How a job's run ended.
enum Run {
    /// It is over.
    Ended(Ending),
    /// The process is about to end; the job waits for the next one.
    PutBack,
}

/// Between two attempts to write a job's end.
const END_PAUSE: Duration = Duration::from_millis(500);

/// Carries a claimed job out.
pub(super) fn run_job(place: &Place, job: &Job) {
    let tools = &place.tools;
    let begun = Instant::now();
    let span = tools.traces.as_ref().map(|traces| {
        let attributes = vec![
            KeyValue::new("digits.job_id", job.id.to_string()),
            KeyValue::new("digits.attempt", i64::from(job.attempts)),
        ];
        traces.begin_caused(&job.traceparent, "train", attributes)
    });
    let spec = stored_spec(job);
    let request = spec.as_ref().map(SpecMessage::request).ok();
    let name = request.as_ref().map_or("", |request| &request.name);
    tracing::info!(job = %job.id, name, attempt = job.attempts, "job begins");
    let running = tools.registry.add(job.id);
    if place.shutdown.load(Ordering::Acquire) {
        running.stop(Stop::Shutdown);
    }
    let run = catch_unwind(AssertUnwindSafe(|| {
        let trained = spec.and_then(|spec| prepare_and_train(place, job, &spec, &running));
        trained.unwrap_or_else(|reason| Run::Ended(Ending::failed(reason)))
    }));
    tools.registry.remove(job.id);
    let run = run.unwrap_or_else(|panic| {
        tracing::error!(job = %job.id, panic = panic_text(&*panic), "a job panicked");
        Run::Ended(Ending::failed(
            "an internal error; the trainer's log has more".to_owned(),
        ))
    });
    if let Some(span) = span {
        let state = match &run {
            Run::Ended(ending) => ending.state,
            Run::PutBack => JobState::Queued,
        };
        let attributes = vec![
            KeyValue::new("digits.job_state", state.as_str()),
            KeyValue::new(
                "digits.step",
                i64::try_from(running.step()).unwrap_or(i64::MAX),
            ),
        ];
        span.end(attributes, state == JobState::Failed);
    }
    match run {
        Run::Ended(ending) => {
            tracing::info!(
                job = %job.id,
                state = ending.state.as_str(),
                error = ending.error,
                seconds = begun.elapsed().as_secs_f64(),
                "job ends"
            );
            write_end(place, job.id, ending, begun.elapsed());
        }
        Run::PutBack => {
            tracing::info!(job = %job.id, step = running.step(), "job goes back to the queue");
            if let Err(error) = tools.store.requeue(job.id, running.spent()) {
                // It stays marked as running, and the next start goes on with it.
                tracing::error!(job = %job.id, %error, "a job could not be put back");
            }
        }
    }
}

/// Writes a job's end, and tries again while the database fails, as on a full disk: what has ended must not be
/// trained again. When the process is to end the job stays marked as running, and the next start goes on with it.
fn write_end(place: &Place, job: JobId, ending: Ending, elapsed: Duration) {
    let tools = &place.tools;
    for attempt in 1_u32.. {
        match tools.store.finish(job, ending.clone()) {
            Ok(()) => break,
            Err(error) if place.shutdown.load(Ordering::Acquire) => {
                tracing::error!(%job, %error, "the end of a job could not be written");
                return;
            }
            Err(error) if attempt == 1 => {
                tracing::error!(%job, %error, "the end of a job could not be written; trying again");
            }
            Err(_) => {}
        }
        thread::sleep(END_PAUSE);
    }
    tools.bundles.remove(job);
    tools.metrics.job_finished(job, ending.state, elapsed);
}

fn stored_spec(job: &Job) -> Result<SpecMessage, String> {
    SpecMessage::decode(&job.resolved).map_err(|error| {
        tracing::error!(job = %job.id, %error, "the stored spec of a job cannot be read");
        "its spec cannot be read by this version".to_owned()
    })
}

/// Errors are for the client: causes and paths go to the log.
fn prepare_and_train(
    place: &Place,
    job: &Job,
    spec: &SpecMessage,
    running: &Arc<RunningJob>,
) -> Result<Run, String> {
    let tools = &place.tools;
    let request = spec.request();
    let mut plan = plan(place, &request)?;
    // Before the training: a checkpoint whose manifest cannot be written would be of no use.
    let lineage = spec.lineage().map_err(|error| {
        tracing::error!(job = %job.id, %error, "a spec cannot be written into manifests");
        format!(
            "its spec cannot be recorded with its checkpoints: {}; correct it and submit it again",
            error.reason
        )
    })?;
    let data = tools.catalog.load(&plan.dataset).map_err(|error| {
        tracing::error!(job = %job.id, %error, "a data set cannot be loaded");
        let name = &plan.dataset_name;
        match datasets::told(&error) {
            NotFound::Refused(reason) => format!("the data set {name} {reason}"),
            NotFound::Unavailable => {
                format!("the data set {name} cannot be loaded; the trainer's log says why")
            }
        }
    })?;
    if let Some(parent) = plan.parent {
        match (parent::load(tools, running, parent), running.stopped()) {
            (Ok(weights), _) => plan.train.initial_weights = Some(weights),
            (Err(_), Some(Stop::Shutdown)) => return Ok(Run::PutBack),
            (Err(_), Some(Stop::Cancel)) => return Ok(Run::Ended(Ending::cancelled())),
            (Err(reason), _) => return Err(reason),
        }
    }
    let device = plan.train.device.to_string();
    let series = tools.metrics.job_begins(JobInfo {
        job_id: job.id.to_string(),
        name: request.name,
        model: plan.model.to_string(),
        dataset: plan.dataset_name.clone(),
        device: device.clone(),
        preset: plan.preset.clone(),
    });
    let cancelled = tools
        .store
        .begun(job.id, device, data.digest.clone())
        .map_err(|error| {
            tracing::error!(job = %job.id, %error, "the job database failed");
            error.told()
        })?;
    if cancelled {
        running.stop(Stop::Cancel);
    }
    running.begin(job.spent, plan.deadline);
    let outlets = outlets(PublisherContext {
        tools: tools.clone(),
        job: job.id,
        plan: plan.clone(),
        spec: lineage,
        dataset_digest: data.digest.clone(),
        report_on: plan.report.then(|| Arc::clone(&data)),
        running: Arc::clone(running),
        durable: Arc::default(),
    })
    .map_err(|_| "the machine gives no more threads".to_owned())?;
    let mut observer = JobObserver::new(running, &series, &tools.metrics, outlets, &plan);
    let trained = train_on(tools, job.id, &plan, &data, &mut observer);
    let written = observer.close();
    series.end();
    if matches!(trained, Err(TrainError::NotFinite { .. })) {
        tools.metrics.loss_not_finite();
    }
    if let Ok(Outcome {
        test: Some(test), ..
    }) = &trained
    {
        show_test(&series, test);
    }
    Ok(conclude(job.id, &plan, running, trained, written))
}

/// What the job is to do, here.
fn plan(place: &Place, request: &JobRequest) -> Result<JobPlan, String> {
    let plan = spec::plan(request, &place.tools.catalog);
    let mut plan = plan.map_err(|error| error.to_string())?;
    if train::is_auto(request.device.as_deref().unwrap_or_default()) {
        plan.train.device = place.device;
    }
    plan.train.max_threads = place.threads;
    Ok(plan)
}

/// The threads beside the training's own.
fn outlets(context: PublisherContext) -> std::io::Result<Outlets> {
    let (tools, running) = (context.tools.clone(), Arc::clone(&context.running));
    let (job, durable) = (context.job, Arc::clone(&context.durable));
    Ok(Outlets {
        recorder: Recorder::start(Recording {
            store: tools.store.clone(),
            curve: tools.remote_write.curve(job),
            running: Arc::clone(&running),
            durable: Arc::clone(&durable),
        })?,
        publisher: Publisher::start(context)?,
        keeper: Keeper::start(&tools, job, &running, &durable)?,
        durable,
    })
}

/// Trains from the newest bundle that can be used, else from the start.
fn train_on(
    tools: &Tools,
    job: JobId,
    plan: &JobPlan,
    data: &Dataset,
    observer: &mut JobObserver<'_>,
) -> Result<Outcome, TrainError> {
    loop {
        let found = tools.bundles.read(job, |reason| {
            tools.metrics.bundle_refused();
            tracing::warn!(%job, reason, "a resume bundle is damaged; an older one or the start serves");
        });
        let resume = found.as_ref().map(|found| found.bytes.as_slice());
        let trained = train::run(&plan.train, data, resume, observer);
        let (Err(TrainError::Bundle(reason)), Some(found)) = (&trained, &found) else {
            return trained;
        };
        tools.metrics.bundle_refused();
        tracing::warn!(%job, reason, "a resume bundle is of no use; an older one or the start serves");
        tools.bundles.discard(found);
    }
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
