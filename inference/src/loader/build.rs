//! Builds a [`LoadedModel`] from the files of a checkpoint: verified, examined and warm.

use super::{
    exam::{run_exam, run_softmax},
    low_priority::{self, Priority, Yielder},
    verify::{fetch_in_task, verify},
};
use crate::{
    engine::Network,
    model::{ImageSeconds, LoadedModel},
};
use digits_checkpoint::{
    Exam, LoadError, Loaded, Refusal, RefusalReason, Storage, StorageError, id::ModelName,
    record::Route,
};
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Loads that compute at the same time: one, however many models, so that requests keep the other
/// cores.
static PERMIT: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));

/// Images of the batch that is timed.
const TIMED_BATCH: usize = 64;
/// Timed runs of which the quickest counts, after one that warms up.
const TIMED_RUNS: usize = 4;

/// Fetches, verifies and builds the checkpoint of a route of `model`.
///
/// # Errors
///
/// When it is refused, or cannot be read.
pub async fn load(
    storage: &Storage,
    route: &Route,
    model: &ModelName,
    priority: Priority,
) -> Result<LoadedModel, LoadError> {
    let unverified = fetch_in_task(storage, route).await?;
    let permit = Arc::clone(&PERMIT).acquire_owned().await;
    let _permit = permit.expect("the semaphore is never closed");
    let model = model.clone();
    let work = move |yielder: &mut Yielder| {
        let loaded = verify(unverified, &model)?;
        yielder.step();
        build(&loaded, yielder)
    };
    let built = low_priority::run(priority, work).await;
    let built = built.map_err(StorageError::Thread)?;
    let panicked = || Refusal::new(RefusalReason::Exam, "the engine panicked on the exam");
    Ok(built.unwrap_or_else(|| Err(panicked()))?)
}

/// Builds the network, runs its exam, and times it for the metrics.
///
/// # Errors
///
/// When the layers do not fit each other, or the exam fails.
pub fn build(loaded: &Loaded, yielder: &mut Yielder) -> Result<LoadedModel, Refusal> {
    let mut model = LoadedModel::new(loaded)
        .map_err(|error| Refusal::new(RefusalReason::Shape, error.to_string()))?;
    run_exam(&model.network, &loaded.exam, yielder)?;
    run_softmax(loaded)?;
    model.image_seconds = ImageSeconds {
        alone: time(&model.network, &loaded.exam, 1, yielder),
        among_many: time(&model.network, &loaded.exam, TIMED_BATCH, yielder),
    };
    Ok(model)
}

/// Processor seconds of one image in a batch of `count`.
fn time(network: &Network, exam: &Exam, count: usize, yielder: &mut Yielder) -> f64 {
    let images = exam.inputs.iter().copied().cycle();
    let images: Vec<u8> = images.take(count * network.inputs()).collect();
    let mut logits = vec![0.0; count * network.classes()];
    let mut run = || {
        yielder.step();
        let start = processor_time();
        network.logits(&images, &mut logits);
        processor_time().saturating_sub(start)
    };
    run();
    let quickest = (0..TIMED_RUNS).map(|_| run()).min().unwrap_or_default();
    quickest.as_secs_f64() / count as f64
}

/// Processor time of this thread: others may run in between.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
