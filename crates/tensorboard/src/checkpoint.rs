//! The events of a checkpoint: a histogram of each layer, and its report card.

use crate::{
    event::{Moment, histogram, image, scalars},
    messages::Event,
};
use digits_checkpoint::{
    Loaded,
    manifest::{Manifest, Report},
    messages,
};
use digits_figure::hardest::hardest_images;
use digits_proto::v1::HardImage;

/// A histogram of each weight and bias, and the report card, if there is one: its errors, and a
/// picture of its hardest test images. Some milliseconds of work.
#[must_use]
pub fn checkpoint(loaded: &Loaded) -> Vec<Event> {
    let manifest = &loaded.manifest;
    let at = Moment {
        step: manifest.lineage.step,
        seconds: manifest.created_at.as_millisecond() as f64 / 1e3,
    };
    let mut events = Vec::new();
    // The names of the state dict: the activations count, too.
    for (number, layer) in loaded.layers.iter().enumerate() {
        let name = format!("layers.{}", 2 * number + 1);
        events.push(histogram(at, &format!("{name}/weight"), &layer.weight));
        events.push(histogram(at, &format!("{name}/bias"), &layer.bias));
    }
    if let Some(report) = &manifest.report {
        events.push(errors(at, report));
        events.push(hardest(at, manifest, report));
    }
    events
}

fn errors(at: Moment, report: &Report) -> Event {
    let mut values = vec![
        ("report/error".to_owned(), report.error()),
        ("report/corrupted".to_owned(), report.mean_corruption_error),
    ];
    let corruptions = report.corruptions.iter();
    values.extend(
        corruptions.map(|one| (format!("report_corruptions/{}", one.corruption), one.error)),
    );
    let values: Vec<(&str, f64)> = values.iter().map(|(tag, value)| (&**tag, *value)).collect();
    scalars(at, &values)
}

fn hardest(at: Moment, manifest: &Manifest, report: &Report) -> Event {
    let images: Vec<HardImage> = report.hardest.iter().map(messages::hard_image).collect();
    let drawn = hardest_images(&images, &messages::checkpoint(manifest));
    let size = [drawn.size.height, drawn.size.width];
    image(at, "report/hardest_test_images", drawn.png, size)
}
