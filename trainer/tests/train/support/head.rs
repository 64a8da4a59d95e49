//! Shortens a data set.

use digits_dataset::{Dataset, Images, LabelledImages};

/// The first images of a data set's training part.
pub fn head(data: &Dataset, images: usize) -> Dataset {
    let set = &data.train;
    let train = LabelledImages {
        images: Images {
            count: images,
            pixels: set.images.pixels.slice(..images * set.images.image_size()),
            ..set.images
        },
        labels: set.labels[..images].to_vec(),
    };
    Dataset::new(
        &data.name,
        train,
        data.test.clone(),
        data.label_names.clone(),
    )
    .expect("good")
}
