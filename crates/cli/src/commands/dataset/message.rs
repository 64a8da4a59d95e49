//! Describes the data sets of this machine as `digits.v1.Dataset`, for both forms of output.

use digits_checkpoint::manifest::PictureNormalization;
use digits_dataset::{messages::pixels, mnist, synthetic};
use digits_proto::v1::{Dataset, DatasetOrigin};

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

/// The reference to content that is not the newest of its name. It names the reading of pictures,
/// which without it is that of the first push of the content.
pub fn reference(it: &Dataset) -> String {
    let reading = match it.handwriting {
        true => "handwriting",
        false => "plain",
    };
    format!("{}@{}+{reading}", it.name, short(&it.digest))
}

/// How users' pictures become inputs of a network that is trained on the data set.
pub fn pictures(normalization: PictureNormalization) -> &'static str {
    match normalization {
        PictureNormalization::Mnist => {
            "normalized by finding and centring the ink, as MNIST's (--handwriting)"
        }
        PictureNormalization::None => "only scaled to the size (no --handwriting)",
    }
}
