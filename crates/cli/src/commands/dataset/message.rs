//! Describes data sets as `digits.v1.Dataset`, for both forms of output.

use digits_checkpoint::manifest::PictureNormalization;
use digits_dataset::{mnist, pushed::Listed, synthetic};
use digits_proto::v1::{Dataset, DatasetOrigin};
use prost_types::Timestamp;

/// The description of a pushed data set, as the trainer sends it.
pub fn pushed(listed: Listed) -> Dataset {
    let Listed {
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
        pushed_at: Some(timestamp(record.pushed_at)),
        pushed_by: record.by,
        superseded,
    }
}

/// The description of a data set of this machine.
pub fn local(dataset: &digits_dataset::Dataset) -> Dataset {
    let built_in = [mnist::NAME, synthetic::NAME].contains(&dataset.name.as_str());
    Dataset {
        name: dataset.name.clone(),
        height: pixels(dataset.height()),
        width: pixels(dataset.width()),
        label_names: dataset.label_names.clone(),
        digest: dataset.digest.clone(),
        origin: match built_in {
            true => DatasetOrigin::BuiltIn.into(),
            false => DatasetOrigin::Unspecified.into(),
        },
        train_images: dataset.train.images.count as u64,
        test_images: dataset.test.images.count as u64,
        train_label_counts: dataset.train.class_counts(dataset.classes()),
        test_label_counts: dataset.test.class_counts(dataset.classes()),
        handwriting: built_in,
        ..Dataset::default()
    }
}

/// The first digits of a digest: enough to distinguish data sets, and for `NAME@DIGEST`.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn pixels(side: usize) -> u32 {
    u32::try_from(side).unwrap_or(u32::MAX)
}

fn timestamp(at: jiff::Timestamp) -> Timestamp {
    Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}
