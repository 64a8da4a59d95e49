//! What is unusual about a data set that was read: what was changed or ignored, and what may be
//! wrong with it.

use std::fmt;

/// Labels that are named in a message.
const NAMED: usize = 8;

/// Something unusual about a data set. The text is a sentence without a remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Bytes other than zeros behind the end of a gzip stream were ignored.
    BytesBehindGzip {
        /// Path of the file.
        file: String,
    },
    /// The images were transposed, as their files are EMNIST's.
    Transposed,
    /// The files are named as EMNIST's, but the images look upright.
    NotTransposed,
    /// The images look transposed.
    LooksTransposed,
    /// The images were inverted, to be light on dark.
    Inverted,
    /// The images look dark on a light background.
    DarkOnLight,
    /// The labels of the files count from this one, which became the first label.
    LabelsFrom(u16),
    /// The smallest label of the files is 1.
    NoLabelZero,
    /// Some labels have no image.
    NoImages {
        /// `training` or `test`.
        part: &'static str,
        /// Names of the labels.
        labels: Vec<String>,
    },
    /// Some labels have very few images for training.
    FewImages {
        /// Names of the labels.
        labels: Vec<String>,
        /// They have fewer than this.
        fewer_than: u64,
    },
    /// Images were kept for the test, as there was no test part.
    HeldOut {
        /// Images that were kept.
        test: usize,
        /// All images.
        of: usize,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BytesBehindGzip { file } => write!(
                f,
                "{file}: trailing garbage behind the end of the gzip stream was ignored"
            ),
            Self::Transposed => f.write_str(
                "the images were transposed: EMNIST's files have rows and columns exchanged",
            ),
            Self::NotTransposed => f.write_str(
                "the images were not transposed: the files are named as EMNIST's, but they look upright",
            ),
            Self::LooksTransposed => f.write_str(
                "the images look transposed as EMNIST's are: their ink is wider than high, as of \
                 handwriting that lies on its side",
            ),
            Self::Inverted => f.write_str(
                "the images were inverted: they were dark on light, and are now light on dark as MNIST's",
            ),
            Self::DarkOnLight => f.write_str(
                "the images look dark on a light background, the inverse of MNIST's, and were left so",
            ),
            Self::LabelsFrom(first) => write!(
                f,
                "the labels of the files count from {first}: {first} became the first label"
            ),
            Self::NoLabelZero => f.write_str(
                "the labels of the files begin at 1, so the first label, 0, has no image",
            ),
            Self::NoImages { part, labels } => {
                write!(f, "there is no {part} image of {}", named(labels))
            }
            Self::FewImages { labels, fewer_than } => write!(
                f,
                "there are fewer than {fewer_than} training images of {}",
                named(labels)
            ),
            Self::HeldOut { test, of } => write!(
                f,
                "there is no test part: {test} of the {of} images are kept for the test, the same share of each label, drawn with \
                 seed 0"
            ),
        }
    }
}

fn named(labels: &[String]) -> String {
    let mut text = match labels.len() {
        1 => "label ",
        _ => "labels ",
    }
    .to_owned();
    let names: Vec<String> = labels
        .iter()
        .take(NAMED)
        .map(|it| format!("{it:?}"))
        .collect();
    text.push_str(&names.join(", "));
    if labels.len() > NAMED {
        text.push_str(&format!(" and {} more", labels.len() - NAMED));
    }
    text
}
