//! The exam: golden test vectors that every execution path must reproduce.

use super::low_priority::Yielder;
use crate::engine::{ExecutionPath, Network, Pixel, probability::Softmax};
use digits_checkpoint::{Exam, Loaded, Refusal, RefusalReason, check_exam, check_probabilities};

/// Compares the network with the exam on every execution path, in both forms of pixels. That also
/// warms it up.
///
/// # Errors
///
/// The first logits that differ too much, or an exam without images.
pub fn run_exam(network: &Network, exam: &Exam, yielder: &mut Yielder) -> Result<(), Refusal> {
    let classes = network.classes();
    if exam.images == 0 || exam.inputs.len() != exam.images * network.inputs() {
        return Err(Refusal::new(
            RefusalReason::Exam,
            "the exam has no images of the input's size",
        ));
    }
    let mut logits = vec![0.0; exam.images * classes];
    // The same images as clients may send them.
    let floats: Vec<f32> = exam.inputs.iter().map(|&x| f32::from(x) / 255.0).collect();
    for path in ExecutionPath::ALL {
        let failed = |form: &str, refusal: Refusal| {
            let message = format!("{path} path, {form}: {}", refusal.message);
            Refusal::new(refusal.reason, message)
        };
        compute(network, path, &exam.inputs, &mut logits, yielder);
        check_exam(exam, classes, &logits).map_err(|refusal| failed("bytes", refusal))?;
        compute(network, path, &floats, &mut logits, yielder);
        check_exam(exam, classes, &logits).map_err(|refusal| failed("floats", refusal))?;
    }
    Ok(())
}

/// Compares the probabilities that users get for the exam's logits with those that are recorded,
/// where the checkpoint has them.
///
/// # Errors
///
/// The first probability that differs.
pub fn run_softmax(loaded: &Loaded) -> Result<(), Refusal> {
    let Some(recorded) = &loaded.probabilities else {
        return Ok(());
    };
    let classes = loaded.manifest.architecture.classes;
    let logits = &loaded.exam.logits;
    let mut softmax = Softmax::new(loaded.manifest.temperature, classes);
    let mut probabilities = vec![0.0; logits.len()];
    let rows = probabilities.chunks_exact_mut(classes);
    for (logits, row) in logits.chunks_exact(classes).zip(rows) {
        softmax.of(logits, row);
    }
    check_probabilities(recorded, classes, &probabilities)
}

/// The first image alone, then three, then the others: the dense path has different tiles for each.
fn compute<P: Pixel>(
    network: &Network,
    path: ExecutionPath,
    mut images: &[P],
    mut logits: &mut [f32],
    yielder: &mut Yielder,
) {
    for count in [1, 3, usize::MAX] {
        yielder.step();
        let count = count.min(images.len() / network.inputs());
        let (now, later) = images.split_at(count * network.inputs());
        let (own, others) = logits.split_at_mut(count * network.classes());
        network.logits_on(path, now, own);
        (images, logits) = (later, others);
    }
}
