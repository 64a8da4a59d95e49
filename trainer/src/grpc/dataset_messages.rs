//! Data sets as protobuf messages.

use crate::{
    datasets::{DatasetContent, DatasetEntry, Shape},
    wire,
};
use digits_checkpoint::manifest::PictureNormalization;
use digits_dataset::pushed;
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
        DatasetEntry::Pushed(listed) => pushed(*listed),
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

fn pushed(listed: pushed::Listed) -> Dataset {
    let pushed::Listed {
        record,
        manifest,
        superseded,
    } = listed;
    Dataset {
        size_bytes: manifest.size_bytes(),
        name: record.name.to_string(),
        description: record.description,
        height: pixels(manifest.height),
        width: pixels(manifest.width),
        label_names: manifest.labels,
        digest: record.digest,
        origin: DatasetOrigin::Pushed.into(),
        train_images: manifest.train.count,
        test_images: manifest.test.count,
        train_label_counts: manifest.train.class_counts,
        test_label_counts: manifest.test.class_counts,
        handwriting: manifest.picture_normalization == PictureNormalization::Mnist,
        pushed_at: Some(wire::timestamp(record.pushed_at.as_microsecond())),
        pushed_by: record.by,
        superseded,
    }
}

fn pixels(side: usize) -> u32 {
    u32::try_from(side).unwrap_or(u32::MAX)
}
