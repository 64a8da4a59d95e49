//! The events of a checkpoint: a histogram of each layer, and the figures of its report card.

use crate::{
    event::{Moment, histogram, scalars},
    messages::Event,
};
use digits_checkpoint::{Loaded, manifest::Manifest};

/// The place of a checkpoint in the curves of its job.
#[must_use]
pub fn moment(manifest: &Manifest) -> Moment {
    Moment {
        step: manifest.lineage.step,
        seconds: manifest.created_at.as_millisecond() as f64 / 1e3,
    }
}

/// A histogram of each weight and bias, and the figures of the report card, if there is one.
#[must_use]
pub fn checkpoint(loaded: &Loaded) -> Vec<Event> {
    let manifest = &loaded.manifest;
    let at = moment(manifest);
    let mut events = Vec::new();
    // The names of the state dict: the activations count, too.
    for (number, layer) in loaded.layers.iter().enumerate() {
        let name = format!("layers.{}", 2 * number + 1);
        events.push(histogram(at, &format!("{name}/weight"), &layer.weight));
        events.push(histogram(at, &format!("{name}/bias"), &layer.bias));
    }
    if let Some(report) = &manifest.report {
        let mut values = vec![
            ("report/error".to_owned(), report.error()),
            ("report/corrupted".to_owned(), report.mean_corruption_error),
        ];
        let corruptions = report.corruptions.iter();
        values.extend(
            corruptions.map(|one| (format!("report_corruptions/{}", one.corruption), one.error)),
        );
        let values: Vec<(&str, f64)> = values.iter().map(|(tag, value)| (&**tag, *value)).collect();
        events.push(scalars(at, &values));
    }
    events
}
