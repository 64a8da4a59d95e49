//! Errors on digits drawn in each style. Trainings draw others: see
//! [`digits_dataset::styles::Style::held_out`].

use super::super::TrainError;
use super::super::cpu_network::CpuNetwork;
use super::statistics::Prediction;
use digits_checkpoint::manifest::StyleError;
use digits_dataset::styles;

/// Images of each style.
const IMAGES: u64 = 60;
/// Larger images are not drawn: it would take too long.
const MAX_PIXELS: usize = 128 * 128;

/// The error on each style of `labels`, the names of the network's classes, drawn in the size
/// (height, width) of its inputs. Empty unless all labels are digits; `None` when stopped.
pub(super) fn errors(
    network: &mut CpuNetwork,
    labels: &[String],
    size: (usize, usize),
    stop: &dyn Fn() -> bool,
) -> Result<Option<Vec<StyleError>>, TrainError> {
    let digits = styles::digits(labels).filter(|_| size.0 * size.1 <= MAX_PIXELS);
    let digits = digits.unwrap_or_default();
    let mut errors = Vec::new();
    for style in styles::all() {
        if stop() {
            return Ok(None);
        }
        let Some(label) = digits.iter().position(|&digit| digit == style.digit) else {
            continue;
        };
        let images: Vec<u8> = (0..IMAGES)
            .flat_map(|number| style.held_out(number, size))
            .collect();
        let logits = network.logits(&images)?;
        let wrong = logits
            .chunks_exact(labels.len())
            .map(|logits| Prediction::of(logits, label as u16, 1.0))
            .filter(|prediction| !prediction.is_correct());
        errors.push(StyleError {
            label: labels[label].clone(),
            style: style.name.to_owned(),
            images: IMAGES,
            error: wrong.count() as f64 / IMAGES as f64,
        });
    }
    Ok(Some(errors))
}
