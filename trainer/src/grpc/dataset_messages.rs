//! Data sets as protobuf messages.

use crate::datasets::{DatasetContent, DatasetEntry, Shape};
use digits_checkpoint::manifest::PictureNormalization;
use digits_dataset::messages::{self, pixels};
use digits_proto::v1::{Dataset, DatasetOrigin};

pub(super) fn dataset(listed: DatasetEntry) -> Dataset {
    match listed {
        DatasetEntry::Own {
            name,
            description,
            configured,
            shape,
            content,
        } => own(
            Dataset {
                name,
                description,
                origin: if configured {
                    DatasetOrigin::Configured.into()
                } else {
                    DatasetOrigin::BuiltIn.into()
                },
                ..Dataset::default()
            },
            shape,
            content,
        ),
        DatasetEntry::Pushed(listed) => messages::pushed(*listed),
    }
}

/// Sizes stay 0 where the job sets the number of images.
fn own(named: Dataset, shape: Shape, content: Option<DatasetContent>) -> Dataset {
    let train_images = content.as_ref().map_or(0, |_| shape.train as u64);
    let content = content.unwrap_or_default();
    Dataset {
        height: pixels(shape.height),
        width: pixels(shape.width),
        label_names: shape.label_names,
        handwriting: shape.picture_normalization == PictureNormalization::Mnist,
        digest: content.digest,
        train_images,
        test_images: content.test as u64,
        train_label_counts: content.train_counts,
        test_label_counts: content.test_counts,
        ..named
    }
}
