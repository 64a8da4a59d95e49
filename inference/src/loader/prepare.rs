//! From a checkpoint's id to a network that has passed its exam on every way, and is warm.

use crate::{engine::Way, model::Prepared};
use digits_checkpoint::{
    LoadError, Loaded, Refusal, RefusalReason, Storage, check_exam,
    id::{CheckpointId, ModelName},
    load,
};
use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};
use tokio::sync::Semaphore;

/// Loads that compute at the same time: one, whatever the number of models, so that serving keeps the other cores.
static PREPARING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));

/// Runs of the single way whose time is taken.
const TIMED_RUNS: usize = 8;

/// Reads, verifies, examines and warms up a checkpoint.
pub(super) async fn prepare(
    storage: &Storage,
    id: CheckpointId,
    model: &ModelName,
) -> Result<Prepared, LoadError> {
    let loaded = load(storage, id).await?;
    if loaded.manifest.model != *model {
        let message = format!(
            "the checkpoint is for the model {}, not for {model}",
            loaded.manifest.model
        );
        return Err(Refusal::new(RefusalReason::Manifest, message).into());
    }
    // The semaphore is never closed; were it, there would be nothing to wait for.
    let _permit = Arc::clone(&PREPARING).acquire_owned().await;
    let examined = tokio::task::spawn_blocking(move || examine(&loaded)).await;
    examined
        .unwrap_or_else(|_| {
            Err(Refusal::new(
                RefusalReason::Exam,
                "the engine failed on the exam",
            ))
        })
        .map_err(Into::into)
}

/// Builds the network and lets every way of it sit the exam, in both forms of pixels, which also warms it up.
fn examine(loaded: &Loaded) -> Result<Prepared, Refusal> {
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
        network.logits_by(way, &exam.inputs, &mut answers);
        check_exam(exam, classes, &answers).map_err(|refusal| wrong("bytes", refusal))?;
        network.logits_by(way, &floats, &mut answers);
        check_exam(exam, classes, &answers).map_err(|refusal| wrong("floats", refusal))?;
    }
    prepared.nanoseconds_per_image = time(&prepared, &exam.inputs, &mut answers);
    Ok(prepared)
}

fn name(way: Way) -> &'static str {
    match way {
        Way::Single => "single",
        Way::Batch => "batch",
    }
}

/// Nanoseconds per image when images come alone: the best of some runs over the exam.
fn time(prepared: &Prepared, inputs: &[u8], answers: &mut [f32]) -> f64 {
    let network = &prepared.network;
    let images = (inputs.len() / network.inputs()).clamp(1, 16);
    let (inputs, answers) = (
        &inputs[..images * network.inputs()],
        &mut answers[..images * network.classes()],
    );
    let run = |_| {
        let start = Instant::now();
        network.logits_by(Way::Single, inputs, answers);
        start.elapsed().as_secs_f64() * 1e9 / images as f64
    };
    (0..TIMED_RUNS).map(run).fold(f64::INFINITY, f64::min)
}
