//! Report cards: the errors and the calibration of a network on the test images of a data set,
//! clean and corrupted, and its errors on drawn digits.
//!
//! Logits are computed on the CPU in float32, statistics of them in float64.

mod drawn;
mod statistics;

use super::cpu_network::CpuNetwork;
use super::plan::check_images;
use super::run::caught;
use super::{TrainError, libtorch_version, threads, validation};
use digits_checkpoint::Layer;
use digits_checkpoint::manifest::{
    Architecture, CorruptionError, Evaluation, HardImage, InputSpec, Report, report_limits,
};
use digits_dataset::LabelledImages;
use digits_dataset::corruptions::{Corruption, corrupt_range};
use statistics::Prediction;
use std::time::Instant;

/// Seed of the corruptions of every report, so that reports can be compared.
pub const CORRUPTION_SEED: u64 = 0;

/// Batch size of the mean over batches in an evaluation: the notebook's.
const EVALUATION_BATCH: usize = 64;

/// The network that a report is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Weights and biases as they are published, from the input on.
    pub layers: &'a [Layer],
    /// Its architecture.
    pub architecture: &'a Architecture,
    /// Scaling of raw pixels to an input.
    pub input: &'a InputSpec,
    /// Divides the logits before the softmax; more than 0.
    pub temperature: f64,
    /// Names of its labels, by index.
    pub labels: &'a [String],
}

/// Measures `subject` on `test`; `None` when `stop` returned true in between. Takes seconds to
/// minutes and sets its thread's number of libtorch threads to one, so it does not belong on a
/// training's thread.
///
/// # Errors
/// [`TrainError`]; a panic inside is caught and becomes one too.
pub fn report(
    subject: &Subject<'_>,
    test: &LabelledImages,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Report>, TrainError> {
    caught(|| {
        check_images("test", test, subject.input, subject.architecture.classes)?;
        threads::set(1);
        measure(subject, test, stop)
    })
}

/// Evaluates `subject` on labelled images, with its logits as they are; `None` where they are not
/// finite. Sets its thread's number of libtorch threads to one.
///
/// # Errors
/// [`TrainError`]; a panic inside is caught and becomes one too.
pub fn evaluate(
    subject: &Subject<'_>,
    images: &LabelledImages,
) -> Result<Option<Evaluation>, TrainError> {
    caught(|| {
        check_images("test", images, subject.input, subject.architecture.classes)?;
        threads::set(1);
        let uncalibrated = Subject {
            temperature: 1.0,
            ..*subject
        };
        let mut network = CpuNetwork::new(subject.layers, subject.architecture, subject.input)?;
        let found = match predict_all(&uncalibrated, &mut network, images, None, &|| false) {
            Err(TrainError::Plan { .. }) => None,
            found => found?,
        };
        Ok(found.map(|predictions| {
            let losses: Vec<f32> = predictions.iter().map(|it| it.loss as f32).collect();
            let correct = predictions.iter().filter(|it| it.is_correct()).count();
            validation::summary(&losses, correct as u64, EVALUATION_BATCH)
        }))
    })
}

fn measure(
    subject: &Subject<'_>,
    test: &LabelledImages,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Report>, TrainError> {
    let began = Instant::now();
    let mut network = CpuNetwork::new(subject.layers, subject.architecture, subject.input)?;
    let Some(predictions) = predict_all(subject, &mut network, test, None, stop)? else {
        return Ok(None);
    };
    let mut corruptions = Vec::with_capacity(Corruption::ALL.len());
    for corruption in Corruption::ALL {
        let found = predict_all(subject, &mut network, test, Some(corruption), stop)?;
        let Some(predictions) = found else {
            return Ok(None);
        };
        corruptions.push(CorruptionError {
            corruption: corruption.name().to_owned(),
            error: statistics::error(&predictions),
        });
    }
    let size = (test.images.height, test.images.width);
    let Some(styles) = drawn::errors(&mut network, subject.labels, size, stop)? else {
        return Ok(None);
    };
    let sum: f64 = corruptions.iter().map(|one| one.error).sum();
    let classes = subject.architecture.classes;
    Ok(Some(Report {
        images: predictions.len() as u64,
        errors: predictions
            .iter()
            .filter(|prediction| !prediction.is_correct())
            .count() as u64,
        calibration: statistics::calibration(&predictions, subject.temperature),
        coverages: statistics::coverages(&predictions),
        mean_corruption_error: sum / corruptions.len() as f64,
        corruptions,
        corruption_seed: CORRUPTION_SEED,
        styles,
        confusion: match classes {
            0..=report_limits::CONFUSION_CLASSES => statistics::confusion(&predictions, classes),
            _ => Vec::new(),
        },
        hardest: hardest(&predictions, test),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch_version: libtorch_version(),
        seconds: began.elapsed().as_secs_f64(),
    }))
}

/// The predictions for all images, clean or corrupted; `None` when stopped.
fn predict_all(
    subject: &Subject<'_>,
    network: &mut CpuNetwork,
    test: &LabelledImages,
    corruption: Option<Corruption>,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Vec<Prediction>>, TrainError> {
    let images = &test.images;
    let size = images.image_size();
    let classes = subject.architecture.classes;
    let mut predictions = Vec::with_capacity(images.count);
    let chunk = network.chunk(images.count);
    for first in (0..images.count).step_by(chunk) {
        if stop() {
            return Ok(None);
        }
        let range = first..images.count.min(first + chunk);
        let logits = match corruption {
            None => network.logits(&images.pixels[range.start * size..range.end * size])?,
            Some(corruption) => {
                let corrupted = corrupt_range(images, range.clone(), corruption, CORRUPTION_SEED);
                network.logits(&corrupted.pixels)?
            }
        };
        let labels = &test.labels[range];
        for (logits, &label) in logits.chunks_exact(classes).zip(labels) {
            let prediction = Prediction::of(logits, label, subject.temperature);
            if !prediction.loss.is_finite() {
                return Err(TrainError::Plan {
                    field: "report",
                    message: "the network's logits are not finite".to_owned(),
                });
            }
            predictions.push(prediction);
        }
    }
    Ok(Some(predictions))
}

fn hardest(predictions: &[Prediction], test: &LabelledImages) -> Vec<HardImage> {
    let mut order: Vec<usize> = (0..predictions.len()).collect();
    order.sort_by(|&a, &b| {
        predictions[b]
            .loss
            .total_cmp(&predictions[a].loss)
            .then(a.cmp(&b))
    });
    order.truncate(report_limits::HARDEST);
    let small = test.images.image_size() <= report_limits::HARDEST_PIXELS;
    order
        .into_iter()
        .map(|index| {
            let prediction = &predictions[index];
            let pixels = test.images.image(index).filter(|_| small);
            HardImage {
                index: index as u64,
                label: prediction.label,
                predicted: prediction.predicted,
                probability: prediction.confidence,
                loss: prediction.loss,
                pixels: pixels.unwrap_or_default().to_vec(),
            }
        })
        .collect()
}
