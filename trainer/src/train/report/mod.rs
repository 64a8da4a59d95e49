//! The report card of a network: what it does on the test images of a data set, as they are and corrupted.
//!
//! Computed on the CPU in float32, in pieces, from the weights as they are published; the figures are made of the
//! logits in float64. Trains nothing and decides nothing.

mod figures;
mod subject;

pub use subject::Subject;

use super::{TrainError, caught, libtorch_version, threads};
use digits_checkpoint::manifest::{CorruptionError, HardImage, Report, report_limits};
use digits_dataset::LabelledImages;
use digits_dataset::corruptions::{Corruption, corrupt_range};
use figures::Answer;
use std::time::Instant;
use subject::Network;

/// Seed of the corruptions of every report, so that reports compare.
pub const CORRUPTION_SEED: u64 = 0;

/// Measures `subject` on `test`; `None` when `stop` said so on the way. Takes seconds to minutes: for a thread of its
/// own, which then computes with one thread of libtorch.
///
/// # Errors
/// [`TrainError`]; a panic inside is caught and becomes one too.
pub fn report(
    subject: &Subject<'_>,
    test: &LabelledImages,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Report>, TrainError> {
    caught(|| {
        subject.check(test)?;
        threads::set(1);
        measure(subject, test, stop)
    })
}

fn measure(
    subject: &Subject<'_>,
    test: &LabelledImages,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Report>, TrainError> {
    let began = Instant::now();
    let mut network = Network::new(subject, test.images.count)?;
    let Some(answers) = answer_all(subject, &mut network, test, None, stop)? else {
        return Ok(None);
    };
    let mut corruptions = Vec::with_capacity(Corruption::ALL.len());
    for corruption in Corruption::ALL {
        let found = answer_all(subject, &mut network, test, Some(corruption), stop)?;
        let Some(answers) = found else {
            return Ok(None);
        };
        corruptions.push(CorruptionError {
            corruption: corruption.name().to_owned(),
            error: figures::error(&answers),
        });
    }
    let sum: f64 = corruptions.iter().map(|one| one.error).sum();
    let classes = subject.architecture.classes;
    Ok(Some(Report {
        images: answers.len() as u64,
        errors: answers.iter().filter(|answer| !answer.right()).count() as u64,
        calibration: figures::calibration(&answers, subject.temperature),
        coverages: figures::coverages(&answers),
        mean_corruption_error: sum / corruptions.len() as f64,
        corruptions,
        corruption_seed: CORRUPTION_SEED,
        confusion: match classes {
            0..=report_limits::CONFUSION_CLASSES => figures::confusion(&answers, classes),
            _ => Vec::new(),
        },
        hardest: hardest(&answers, test),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch_version: libtorch_version(),
        seconds: began.elapsed().as_secs_f64(),
    }))
}

/// What the network says to every image, as it is or corrupted.
fn answer_all(
    subject: &Subject<'_>,
    network: &mut Network,
    test: &LabelledImages,
    corruption: Option<Corruption>,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Vec<Answer>>, TrainError> {
    let images = &test.images;
    let size = images.image_size();
    let classes = subject.architecture.classes;
    let mut answers = Vec::with_capacity(images.count);
    for first in (0..images.count).step_by(network.piece()) {
        if stop() {
            return Ok(None);
        }
        let range = first..images.count.min(first + network.piece());
        let logits = match corruption {
            None => network.logits(&images.pixels[range.start * size..range.end * size])?,
            Some(corruption) => {
                let corrupted = corrupt_range(images, range.clone(), corruption, CORRUPTION_SEED);
                network.logits(&corrupted.pixels)?
            }
        };
        let labels = &test.labels[range];
        for (logits, &label) in logits.chunks_exact(classes).zip(labels) {
            let answer = Answer::of(logits, label, subject.temperature);
            if !answer.loss.is_finite() {
                return Err(TrainError::Plan {
                    field: "report",
                    message: "the network's answers are not numbers".to_owned(),
                });
            }
            answers.push(answer);
        }
    }
    Ok(Some(answers))
}

fn hardest(answers: &[Answer], test: &LabelledImages) -> Vec<HardImage> {
    let mut order: Vec<usize> = (0..answers.len()).collect();
    order.sort_by(|&a, &b| answers[b].loss.total_cmp(&answers[a].loss).then(a.cmp(&b)));
    order.truncate(report_limits::HARDEST);
    let small = test.images.image_size() <= report_limits::HARDEST_PIXELS;
    order
        .into_iter()
        .map(|index| {
            let answer = &answers[index];
            let pixels = test.images.image(index).filter(|_| small);
            HardImage {
                index: index as u64,
                label: answer.label,
                predicted: answer.predicted,
                probability: answer.confidence,
                loss: answer.loss,
                pixels: pixels.unwrap_or_default().to_vec(),
            }
        })
        .collect()
}
