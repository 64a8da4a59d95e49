//! Makes data sets of images and labels as other programs write them: collects grey images of one
//! size, part by part, numbers the labels, and reports what was converted.

mod collector;
mod labels;
mod picture;
mod size;

pub use collector::Collector;
pub use labels::{Label, LabelNames, Labels, Naming};
pub use picture::Picture;
pub use size::Size;

use crate::Error;
use digits_dataset::{Assembled, Finding, Handling, LabelledImages, Parts, assemble};

/// Share of the images of each label that is kept for the test where nothing else is said.
pub const TEST_FRACTION: f64 = 0.2;

/// A data set, and how its files were read.
pub struct ImageSet {
    /// The data set.
    pub assembled: Assembled,
    /// Sentences about what was ignored and converted.
    pub notes: Vec<String>,
}

/// The parts of a data set whose labels are numbered.
pub struct Numbered {
    /// Path of the files.
    pub shown: String,
    /// For training and validation.
    pub train: LabelledImages,
    /// For the test.
    pub test: Option<LabelledImages>,
    /// Names of the labels, by index.
    pub label_names: Vec<String>,
    /// Whether the files have EMNIST's names.
    pub named_emnist: bool,
}

/// Makes a data set of its parts. Without a test part, `handling` or [`TEST_FRACTION`] says how many
/// images are kept for the test.
///
/// # Errors
/// [`Error::Input`] when the parts do not fit together.
pub fn finish(
    parts: Numbered,
    handling: &Handling,
    findings: Vec<Finding>,
) -> Result<Assembled, Error> {
    let handling = Handling {
        test_fraction: match parts.test {
            Some(_) => handling.test_fraction,
            None => handling.test_fraction.or(Some(TEST_FRACTION)),
        },
        ..*handling
    };
    let Numbered {
        shown,
        train,
        test,
        label_names,
        named_emnist,
    } = parts;
    let parts = Parts {
        train,
        test,
        label_names,
        named_emnist,
    };
    assemble(&shown, parts, &handling, findings).map_err(|error| Error::input("data set", error))
}
