//! From a checkpoint's id to a network that has passed its exam on every way, and is warm.

use super::background::{self, Pace};
use crate::{
    engine::{Network, Pixel, Way},
    model::Prepared,
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
) -> Result<Prepared, LoadError> {
    let fetched = fetch_apart(storage, id).await?;
    // The semaphore is never closed; were it, there would be nothing to wait for.
    let _permit = Arc::clone(&PREPARING).acquire_owned().await;
    let model = model.clone();
    let work = move |pace: &mut Pace| {
        let loaded = of_model(fetched.verify()?, &model)?;
        pace.step();
        examine(&loaded, pace)
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
fn examine(loaded: &Loaded, pace: &mut Pace) -> Result<Prepared, Refusal> {
    let mut prepared = Prepared::new(loaded)
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
    for way in Way::ALL {
        let wrong = |form: &str, refusal: Refusal| {
            let message = format!("by the {} way, {form}: {}", name(way), refusal.message);
            Refusal::new(refusal.reason, message)
        };
        sit(network, way, &exam.inputs, &mut answers, pace);
        check_exam(exam, classes, &answers).map_err(|refusal| wrong("bytes", refusal))?;
        sit(network, way, &floats, &mut answers, pace);
        check_exam(exam, classes, &answers).map_err(|refusal| wrong("floats", refusal))?;
    }
    prepared.network.measure(&exam.inputs, || pace.step());
    Ok(prepared)
}

/// Answers the images: the first alone, then three, then the others at once, as a matrix product goes another path for each.
fn sit<P: Pixel>(
    network: &Network,
    way: Way,
    mut images: &[P],
    mut answers: &mut [f32],
    pace: &mut Pace,
) {
    for count in [1, 3, usize::MAX] {
        pace.step();
        let count = count.min(images.len() / network.inputs());
        let (now, later) = images.split_at(count * network.inputs());
        let (logits, others) = answers.split_at_mut(count * network.classes());
        network.logits_by(way, now, logits);
        (images, answers) = (later, others);
    }
}

fn name(way: Way) -> &'static str {
    match way {
        Way::Single => "single",
        Way::Batch => "batch",
    }
}
