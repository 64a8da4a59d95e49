//! Draws the hardest test images of a report card.

use crate::picture_grid::{Captioned, Drawing, Picture, picture_grid};
use digits_proto::v1::{Checkpoint, HardImage};

/// Draws all of the images, with their captions.
#[must_use]
pub fn hardest_images(images: &[HardImage], checkpoint: &Checkpoint) -> Drawing {
    let all: Vec<Captioned<'_>> = images
        .iter()
        .map(|image| Captioned {
            picture: picture(image, checkpoint),
            caption: caption(image, &checkpoint.label_names),
        })
        .collect();
    picture_grid(&all)
}

/// The two lines below a hard image: index and true label, predicted label and its probability.
#[must_use]
pub fn caption(image: &HardImage, names: &[String]) -> [String; 2] {
    let name = |index: u32| {
        let known = names.get(index as usize);
        known.cloned().unwrap_or_else(|| index.to_string())
    };
    [
        format!("{}: {}", image.index, name(image.label_index)),
        format!(
            "predicted {} ({:.1} %)",
            name(image.predicted_index),
            image.probability * 100.0
        ),
    ]
}

/// The image as a picture.
#[must_use]
pub fn picture<'a>(image: &'a HardImage, checkpoint: &Checkpoint) -> Picture<'a> {
    let input = checkpoint.input.unwrap_or_default();
    Picture {
        pixels: &image.pixels,
        height: input.height as usize,
        width: input.width as usize,
    }
}
