//! From a checkpoint's id to a network that has passed its exam on every way, and is warm.

use super::background::{self, Yielder};
use crate::{
    engine::{ExecutionPath, Network, Pixel},
    model::LoadedModel,
};
use digits_checkpoint::{
    LoadError, Loaded, Refusal, RefusalReason, Storage, StorageError, Unverified, check_exam,
    fetch,
    id::{CheckpointId, ModelName},
};
use std::sync::{Arc, LazyLock};
use tokio::{sync::Semaphore, task::JoinSet};

/// Loads that compute at the same time: one, whatever the number of models, so that serving keeps the other cores.
static PREPARING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));

/// Reads, verifies, examines and warms up a checkpoint; `beside` others that serve, at the cost of its own time.
pub(super) async fn prepare(
    storage: &Storage,
    id: CheckpointId,
    model: &ModelName,
    beside: bool,
) -> Result<LoadedModel, LoadError> {
    let fetched = fetch_apart(storage, id).await?;
    // The semaphore is never closed; were it, there would be nothing to wait for.
    let _permit = Arc::clone(&PREPARING).acquire_owned().await;
    let model = model.clone();
    let work = move |yielder: &mut Yielder| {
        let loaded = of_model(fetched.verify()?, &model)?;
        yielder.step();
        examine(&loaded, yielder)
    };
    let prepared = background::run(beside, work)
        .await
        .map_err(StorageError::Thread)?;
    prepared
        .unwrap_or_else(|| {
            Err(Refusal::new(
                RefusalReason::Exam,
                "the engine failed on the exam",
            ))
        })
        .map_err(Into::into)
}

/// [`fetch`] as a task of its own: a panic in it fails this load ([`StorageError::Task`]), which is tried again, and does not
/// end the loader. Dropping the future ends the task.
async fn fetch_apart(storage: &Storage, id: CheckpointId) -> Result<Unverified, LoadError> {
    let storage = storage.clone();
    let mut task = JoinSet::new();
    task.spawn(async move { fetch(&storage, id).await });
    let ended = task.join_next().await.expect("a task was spawned");
    ended.map_err(StorageError::from)?
}

fn of_model(loaded: Loaded, model: &ModelName) -> Result<Loaded, Refusal> {
    if loaded.manifest.model == *model {
        return Ok(loaded);
    }
    let message = format!(
        "the checkpoint is for the model {}, not for {model}",
        loaded.manifest.model
    );
    Err(Refusal::new(RefusalReason::Manifest, message))
}

/// Builds the network and lets every way of it sit the exam, in both forms of pixels, which also warms it up.
fn examine(loaded: &Loaded, yielder: &mut Yielder) -> Result<LoadedModel, Refusal> {
    let mut prepared = LoadedModel::new(loaded)
        .map_err(|error| Refusal::new(RefusalReason::Shape, error.to_string()))?;
    let (exam, network) = (&loaded.exam, &prepared.network);
    let classes = network.classes();
    if exam.images == 0 || exam.inputs.len() != exam.images * network.inputs() {
        return Err(Refusal::new(
            RefusalReason::Exam,
            "the exam has no images of the input's size",
        ));
    }
    let mut answers = vec![0.0; exam.images * classes];
    // The same images as clients may send them.
    let floats: Vec<f32> = exam.inputs.iter().map(|&x| f32::from(x) / 255.0).collect();
    for way in ExecutionPath::ALL {
        let wrong = |form: &str, refusal: Refusal| {
            let message = format!("by the {} way, {form}: {}", name(way), refusal.message);
            Refusal::new(refusal.reason, message)
        };
        run_exam(network, way, &exam.inputs, &mut answers, yielder);
        check_exam(exam, classes, &answers).map_err(|refusal| wrong("bytes", refusal))?;
        run_exam(network, way, &floats, &mut answers, yielder);
        check_exam(exam, classes, &answers).map_err(|refusal| wrong("floats", refusal))?;
    }
    prepared.network.measure(&exam.inputs, || yielder.step());
    Ok(prepared)
}

/// Answers the images: the first alone, then three, then the others at once, as a matrix product goes another path for each.
fn run_exam<P: Pixel>(
    network: &Network,
    way: ExecutionPath,
    mut images: &[P],
    mut answers: &mut [f32],
    yielder: &mut Yielder,
) {
    for count in [1, 3, usize::MAX] {
        yielder.step();
        let count = count.min(images.len() / network.inputs());
        let (now, later) = images.split_at(count * network.inputs());
        let (logits, others) = answers.split_at_mut(count * network.classes());
        network.logits_on(way, now, logits);
        (images, answers) = (later, others);
    }
}

fn name(way: ExecutionPath) -> &'static str {
    match way {
        ExecutionPath::Sparse => "single",
        ExecutionPath::Dense => "batch",
    }
}
