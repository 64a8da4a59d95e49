//! Publishes a job's checkpoints in order, on a thread beside the training, and promotes them by the job's policy.
//!
//! The id and what is to happen with it are in the database before the first byte. A storage that fails is
//! tried again a few times; then the job fails, and the intention stays for the next start to deal with.

use super::{
    Tools,
    durable::Durable,
    intentions::{Intentions, writer},
    running::RunningJob,
};
use crate::{
    job::{JobId, now_us},
    spec::JobPlan,
    store::{Intention, IntentionState, StoreError},
    train::{self, PublishFailed, Snapshot, Started, report::Subject},
    wire::{LineageSpec, promotion_number},
};
use digits_checkpoint::{
    Draft, StorageError, encode_exam, encode_model,
    id::CheckpointId,
    manifest::{FORMAT, FileDigest, Files, Lineage, Manifest, Metrics, Report, TrainingSet},
    publication::{self, Outcome},
    sha256_hex,
};
use digits_dataset::Dataset;
use std::{
    io,
    sync::{
        Arc, OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Snapshots that may wait for the storage before the training waits for them.
const SNAPSHOTS_AT_MOST: usize = 1;
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What a publisher needs.
pub(super) struct PublisherContext {
    pub(super) tools: Tools,
    pub(super) job: JobId,
    pub(super) plan: JobPlan,
    pub(super) spec: LineageSpec,
    pub(super) dataset_digest: String,
    /// What the last checkpoint's report card is made on, where the job asks for one.
    pub(super) report_on: Option<Arc<Dataset>>,
    pub(super) running: Arc<RunningJob>,
    pub(super) durable: Arc<Durable>,
}

/// What a manifest says of a training that has begun.
#[derive(Clone)]
struct DividedData {
    digest: String,
    threads: u32,
    training: TrainingSet,
}

/// The training's end of the channel.
pub(super) struct Publisher {
    snapshots: Option<SyncSender<(Snapshot, Instant)>>,
    split: Arc<OnceLock<DividedData>>,
    thread: Option<thread::JoinHandle<Result<(), String>>>,
}

impl Publisher {
    pub(super) fn start(context: PublisherContext) -> io::Result<Self> {
        let (snapshots, receiver) = sync_channel(SNAPSHOTS_AT_MOST);
        let split = Arc::<OnceLock<DividedData>>::default();
        let known = Arc::clone(&split);
        let thread = thread::Builder::new()
            .name("publisher".to_owned())
            .spawn(move || publish_all(&context, &receiver, &known))?;
        Ok(Self {
            snapshots: Some(snapshots),
            split,
            thread: Some(thread),
        })
    }

    /// The training images are divided.
    pub(super) fn divided(&self, started: &Started) {
        // Told once per training.
        let _ = self.split.set(DividedData {
            digest: started.split_digest.clone(),
            threads: u32::try_from(started.threads).unwrap_or(u32::MAX),
            training: started.training.clone(),
        });
    }

    /// Takes a snapshot, waiting while another one waits already.
    pub(super) fn take(&self, snapshot: Snapshot) -> Result<(), PublishFailed> {
        let gone = || PublishFailed {
            message: "the storage failed".to_owned(),
        };
        let sender = self.snapshots.as_ref().ok_or_else(gone)?;
        sender.send((snapshot, Instant::now())).map_err(|_| gone())
    }

    /// Waits until everything is published; fails with a reason for the client.
    pub(super) fn close(&mut self) -> Result<(), String> {
        self.snapshots = None;
        match self.thread.take().map(thread::JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err("an internal error; the trainer's log has more".to_owned()),
        }
    }
}

fn publish_all(
    context: &PublisherContext,
    snapshots: &Receiver<(Snapshot, Instant)>,
    split: &OnceLock<DividedData>,
) -> Result<(), String> {
    for (snapshot, taken) in snapshots {
        let epoch = snapshot.epoch;
        let split = split.get();
        let split = split.expect("the data is divided before the first snapshot");
        publish(context, snapshot, split, taken).map_err(|error| {
            match &error {
                Failure::Stopped => tracing::info!(job = %context.job, epoch, "{error}"),
                error => {
                    tracing::error!(job = %context.job, epoch, %error, "a checkpoint was not published");
                }
            }
            error.told(epoch)
        })?;
        context.durable.snapshot();
    }
    Ok(())
}

/// Why a checkpoint was not published.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The job was stopped before its last checkpoint was whole.
    #[error("the job was stopped while its report card was made")]
    Stopped,
}

impl Failure {
    fn told(&self, epoch: u32) -> String {
        let reason = match self {
            Self::Storage(error) if error.is_final() => "the storage refuses it",
            Self::Storage(error) => why(error.io_kind()),
            Self::Store(error) if error.is_full() => {
                "the disk with the trainer's job database is full"
            }
            Self::Store(_) => "the trainer's job database failed",
            Self::Stopped => {
                return "the job was stopped while its report card was made: no checkpoint of the last epoch".to_owned();
            }
        };
        format!(
            "the checkpoint of epoch {epoch} could not be published: {reason}; the trainer's log says why"
        )
    }
}

/// What an operator can do something about.
fn why(kind: Option<io::ErrorKind>) -> &'static str {
    match kind {
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => "the storage is full",
        Some(io::ErrorKind::FileTooLarge) => "the storage takes no file of that size",
        Some(io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {
            "the storage cannot be written"
        }
        _ => "the storage failed again and again",
    }
}

fn publish(
    context: &PublisherContext,
    snapshot: Snapshot,
    split: &DividedData,
    taken: Instant,
) -> Result<(), Failure> {
    let Tools {
        store,
        storage,
        metrics,
        ..
    } = &context.tools;
    let architecture = &context.plan.train.architecture;
    let model = encode_model(&snapshot.layers);
    let weights_sha256 = sha256_hex(&model);
    let before = store.committed_before(context.job, snapshot.epoch, weights_sha256.clone())?;
    if let Some(before) = before {
        // An earlier attempt of this job came to the same weights and published them.
        tracing::info!(job = %context.job, checkpoint = %before.id, "published before");
        return Ok(());
    }
    let report = report(context, &snapshot)?;
    let id = CheckpointId::generate();
    store.plan_checkpoint(Intention {
        id,
        job: context.job,
        epoch: snapshot.epoch,
        step: snapshot.step,
        promotion: promotion_number(context.plan.promotion),
        weights_sha256,
        state: IntentionState::Planned,
        serving_sequence: 0,
    })?;
    let draft = Draft {
        exam: encode_exam(
            &snapshot.exam,
            architecture.input_size,
            architecture.classes,
        ),
        manifest: Manifest {
            report,
            ..manifest(context, id, &snapshot, split)
        },
        model,
    };
    let ledger = Intentions(store.clone());
    let manifest = again_and_again(context, || {
        publication::commit(storage, &ledger, draft.clone())
    })?;
    metrics.published(taken.elapsed(), now_us());
    let policy = context.plan.promotion;
    let by = writer(context.job);
    let ended = again_and_again(context, || {
        publication::finalize(storage, &ledger, &manifest, policy, &by)
    })?;
    let sequence = match ended {
        Outcome::Completed(sequence) => sequence,
        Outcome::Abandoned => return Err(StorageError::Tombstoned { id }.into()),
    };
    tracing::info!(
        job = %context.job, checkpoint = %id, epoch = snapshot.epoch, sequence,
        milliseconds = taken.elapsed().as_secs_f64() * 1e3, "checkpoint published"
    );
    Ok(())
}

/// The report card of the last checkpoint of a job that asks for one. A report that fails is no reason to lose the
/// checkpoint: `ReportCheckpoint` can make it another time.
fn report(context: &PublisherContext, snapshot: &Snapshot) -> Result<Option<Box<Report>>, Failure> {
    // Only the last one was tested.
    let (Some(data), Some(_)) = (&context.report_on, snapshot.test) else {
        return Ok(None);
    };
    let plan = &context.plan.train;
    let subject = Subject {
        layers: &snapshot.layers,
        architecture: &plan.architecture,
        input: &plan.input,
        temperature: snapshot.temperature,
    };
    let stop = || context.running.should_stop();
    let made = train::report::report(&subject, &data.test, &stop);
    context.tools.metrics.report_made(&made);
    match made {
        Ok(Some(report)) => Ok(Some(Box::new(report))),
        Ok(None) => Err(Failure::Stopped),
        Err(error) => {
            tracing::error!(job = %context.job, %error, "a report card could not be made");
            Ok(None)
        }
    }
}

/// Tries something on the storage until it works, a few times and with growing pauses.
fn again_and_again<T, F>(
    context: &PublisherContext,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut pause = FIRST_PAUSE;
    for tries in 1.. {
        let error = match context.tools.runtime.block_on(attempt()) {
            Ok(value) => return Ok(value),
            Err(Failure::Storage(error)) => error,
            Err(failure) => return Err(failure),
        };
        context.tools.metrics.publish_failed();
        let stop = context.running.stopped().is_some();
        if error.is_final() || tries >= ATTEMPTS || stop {
            return Err(error.into());
        }
        tracing::warn!(job = %context.job, %error, tries, "the storage failed; trying again");
        thread::sleep(pause);
        pause *= 2;
    }
    unreachable!("the loop has no end of its own")
}

fn manifest(
    context: &PublisherContext,
    id: CheckpointId,
    snapshot: &Snapshot,
    split: &DividedData,
) -> Manifest {
    let plan = &context.plan;
    // The digests are filled in by `publish`.
    let unknown = FileDigest {
        sha256: String::new(),
        size_bytes: 0,
    };
    Manifest {
        format: FORMAT,
        id,
        model: plan.model.clone(),
        created_at: jiff::Timestamp::now(),
        architecture: plan.train.architecture.clone(),
        input: plan.train.input,
        labels: plan.shape.label_names.clone(),
        picture_normalization: plan.shape.picture_normalization,
        temperature: snapshot.temperature,
        files: Files {
            model: unknown.clone(),
            exam: unknown,
        },
        report: None,
        metrics: Metrics {
            validation: snapshot.validation,
            test: snapshot.test,
            train_loss: Some(snapshot.train_loss),
            calibration: snapshot.calibration,
        },
        training: Some(split.training.clone()),
        lineage: Lineage {
            job: Some(context.job.to_string()),
            spec: context.spec.json.clone(),
            spec_protobuf: context.spec.protobuf.clone(),
            seed: plan.train.seed,
            epoch: snapshot.epoch,
            step: snapshot.step,
            parent: plan.parent,
            dataset: plan.dataset_name.clone(),
            dataset_digest: context.dataset_digest.clone(),
            split_digest: split.digest.clone(),
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch_version: train::libtorch_version(),
            device: plan.train.device.to_string(),
            threads: Some(split.threads),
            imported_sha256: None,
        },
    }
}
