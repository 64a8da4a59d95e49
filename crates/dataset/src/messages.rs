//! Converts pushed data sets into messages of `digits.v1`.

use crate::pushed::Listed;
use digits_checkpoint::{manifest::PictureNormalization, messages::timestamp};
use digits_proto::v1;

/// Converts a pushed data set.
#[must_use]
pub fn pushed(listed: Listed) -> v1::Dataset {
    let Listed {
        record,
        manifest,
        superseded,
    } = listed;
    v1::Dataset {
        size_bytes: manifest.size_bytes(),
        name: record.name.to_string(),
        description: record.description,
        height: pixels(manifest.height),
        width: pixels(manifest.width),
        label_names: manifest.labels,
        digest: record.digest,
        origin: v1::DatasetOrigin::Pushed.into(),
        train_images: manifest.train.count,
        test_images: manifest.test.count,
        train_label_counts: manifest.train.class_counts,
        test_label_counts: manifest.test.class_counts,
        handwriting: manifest.picture_normalization == PictureNormalization::Mnist,
        pushed_at: Some(timestamp(record.pushed_at)),
        pushed_by: record.by,
        superseded,
    }
}

/// Converts the height or width of an image.
#[must_use]
pub fn pixels(side: usize) -> u32 {
    u32::try_from(side).unwrap_or(u32::MAX)
}
