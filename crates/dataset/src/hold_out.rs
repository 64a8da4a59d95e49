//! Keeps a share of the images of each label for the test, where a data set has no test part.

use crate::{DatasetError, Images, LabelledImages, PixelBuffer, PixelStore, random::Random};

/// The PRNG's stream of the choice.
const PART: u64 = 2;

/// Divides images into those for training and those for the test: of each label the `fraction`
/// (rounded), but at least one for either if there are two. Always the same of equal images.
pub(crate) fn hold_out(
    all: &LabelledImages,
    fraction: f64,
    classes: usize,
    store: PixelStore,
) -> Result<(LabelledImages, LabelledImages), DatasetError> {
    let mut of_label: Vec<Vec<usize>> = vec![Vec::new(); classes];
    for (index, &label) in all.labels.iter().enumerate() {
        if let Some(indices) = of_label.get_mut(usize::from(label)) {
            indices.push(index);
        }
    }
    let mut is_test = vec![false; all.labels.len()];
    for (label, mut indices) in of_label.into_iter().enumerate() {
        let share = (indices.len() as f64 * fraction).round() as usize;
        let count = match indices.len() {
            0 | 1 => 0,
            images => share.clamp(1, images - 1),
        };
        let mut random = Random::of(0, PART, label as u64);
        for place in 0..count {
            let other = place + random.below(indices.len() - place);
            indices.swap(place, other);
            is_test[indices[place]] = true;
        }
    }
    let take = |wanted| take(all, &is_test, wanted, store);
    Ok((take(false)?, take(true)?))
}

fn take(
    all: &LabelledImages,
    is_test: &[bool],
    wanted: bool,
    store: PixelStore,
) -> Result<LabelledImages, DatasetError> {
    let chosen = || (0..all.labels.len()).filter(|&index| is_test[index] == wanted);
    let mut pixels = PixelBuffer::new(store);
    for image in chosen().filter_map(|index| all.images.image(index)) {
        pixels.push(image)?;
    }
    let labels: Vec<u16> = chosen().map(|index| all.labels[index]).collect();
    Ok(LabelledImages {
        images: Images {
            count: labels.len(),
            pixels: pixels.finish()?,
            ..all.images
        },
        labels,
    })
}
