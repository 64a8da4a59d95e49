//! Inspects images for signs that they are stored in another way than MNIST's: transposed, or dark
//! on a light background.

use crate::{Dataset, Finding, Images};

/// Images that are looked at.
const SAMPLES: usize = 2_000;
/// Distance from the background at which a pixel is ink.
const INK: u8 = 64;
/// Ratio of the ink's mean width to its mean height from which on images look transposed.
/// MNIST's digits have 0.73, and 1.37 transposed.
const WIDE: f64 = 1.1;
/// Share of images with a light border from which on a data set is dark on light.
const LIGHT_SHARE: f64 = 0.9;
/// A label with fewer training images is reported.
const FEW: u64 = 10;

/// Mean width of the ink divided by its mean height; `None` without ink.
pub(crate) fn aspect(images: &Images) -> Option<f64> {
    let (mut widths, mut heights) = (0, 0);
    for image in sample(images) {
        let background = if border_is_light(images, image) {
            255
        } else {
            0
        };
        let is_ink = |pixel: &u8| pixel.abs_diff(background) > INK;
        let rows = image
            .chunks_exact(images.width)
            .map(|row| row.iter().any(is_ink));
        let columns = (0..images.width)
            .map(|column| image.iter().skip(column).step_by(images.width).any(is_ink));
        heights += extent(rows);
        widths += extent(columns);
    }
    (heights > 0).then(|| widths as f64 / heights as f64)
}

/// Whether the images look transposed, if they are handwriting.
pub(crate) fn look_transposed(images: &Images) -> bool {
    images.height == images.width && aspect(images).is_some_and(|aspect| aspect > WIDE)
}

/// Whether nearly all images have a light border.
pub(crate) fn are_dark_on_light(images: &Images) -> bool {
    let (mut all, mut light) = (0, 0);
    for image in sample(images) {
        all += 1;
        light += usize::from(border_is_light(images, image));
    }
    all > 0 && light as f64 >= LIGHT_SHARE * all as f64
}

/// Labels without images, or with few.
pub(crate) fn counts(dataset: &Dataset) -> Vec<Finding> {
    let labels = |part: &crate::LabelledImages, is_wanted: fn(u64) -> bool| -> Vec<String> {
        let counts = part.class_counts(dataset.classes());
        let wanted = dataset.label_names.iter().zip(counts);
        wanted
            .filter(|(_, count)| is_wanted(*count))
            .map(|(name, _)| name.clone())
            .collect()
    };
    let none = [("training", &dataset.train), ("test", &dataset.test)].map(|(part, data)| {
        let labels = labels(data, |count| count == 0);
        Finding::NoImages { part, labels }
    });
    let few = Finding::FewImages {
        labels: labels(&dataset.train, |count| (1..FEW).contains(&count)),
        fewer_than: FEW,
    };
    let some = |it: &Finding| match it {
        Finding::NoImages { labels, .. } | Finding::FewImages { labels, .. } => !labels.is_empty(),
        _ => true,
    };
    none.into_iter().chain([few]).filter(some).collect()
}

/// Images from the whole set, at equal distances.
fn sample(images: &Images) -> impl Iterator<Item = &[u8]> {
    let size = images.image_size().max(1);
    let step = images.count.div_ceil(SAMPLES).max(1);
    images.pixels.chunks_exact(size).step_by(step)
}

fn border_is_light(images: &Images, image: &[u8]) -> bool {
    let (height, width) = (images.height, images.width);
    let (mut sum, mut count) = (0_u64, 0_u64);
    for (index, &pixel) in image.iter().enumerate() {
        let (row, column) = (index / width, index % width);
        if row == 0 || column == 0 || row + 1 == height || column + 1 == width {
            sum += u64::from(pixel);
            count += 1;
        }
    }
    sum * 2 > count * 255
}

/// From the first to the last line with ink.
fn extent(lines: impl Iterator<Item = bool>) -> usize {
    let inked: Vec<usize> = lines.enumerate().filter(|it| it.1).map(|it| it.0).collect();
    match (inked.first(), inked.last()) {
        (Some(first), Some(last)) => last - first + 1,
        _ => 0,
    }
}
