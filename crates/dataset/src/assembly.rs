//! Makes a data set of the parts that a reader found, as its user wants them handled, and reports
//! what is unusual about it.

use crate::{
    Dataset, DatasetError, Finding, Images, LabelledImages, PixelStore, hold_out::hold_out,
    inspection,
};

/// How the files of a data set are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Handling {
    /// Whether rows and columns are exchanged.
    pub orientation: Orientation,
    /// Whether dark and light are.
    pub polarity: Polarity,
    /// The label of the files that becomes the first one; `None` for 0, or for 1 where the files
    /// leave no doubt.
    pub first_label: Option<u16>,
    /// Share of the images of each label that is kept for the test; only without a test part.
    pub test_fraction: Option<f64>,
    /// Where many pixels are.
    pub store: PixelStore,
}

/// Whether the images are transposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    /// If they are EMNIST's by name and by look.
    #[default]
    Detect,
    /// As they are.
    AsStored,
    /// Rows and columns exchanged.
    Transposed,
}

/// Whether the images are inverted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Polarity {
    /// As they are.
    #[default]
    AsStored,
    /// Dark and light exchanged.
    Inverted,
    /// Inverted if they are dark on light.
    LightOnDark,
}

/// The parts of a data set as they were read.
#[derive(Clone, Debug)]
pub struct Parts {
    /// For training and validation; for the test too where that part is missing.
    pub train: LabelledImages,
    /// For the test.
    pub test: Option<LabelledImages>,
    /// Names of the labels, by index.
    pub label_names: Vec<String>,
    /// Whether the files have EMNIST's names.
    pub named_emnist: bool,
}

/// A data set, and what is unusual about it.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The data set.
    pub dataset: Dataset,
    /// In the order in which they were noticed.
    pub findings: Vec<Finding>,
}

/// Makes a data set of its parts; `findings` are the reader's.
///
/// # Errors
/// [`DatasetError::Invalid`] when the parts do not fit together, or a share for the test was given
/// and there is a test part, or neither; [`DatasetError::Io`] of a temporary file.
pub fn assemble(
    name: &str,
    parts: Parts,
    handling: &Handling,
    mut findings: Vec<Finding>,
) -> Result<Assembled, DatasetError> {
    let divided = divide(name, parts.train, parts.test, &parts.label_names, handling)?;
    let (mut train, mut test, held_out) = divided;
    findings.extend(held_out);
    let mut both = [&mut train.images, &mut test.images];
    if is_transposed(
        both[0],
        parts.named_emnist,
        handling.orientation,
        &mut findings,
    ) {
        for images in &mut both {
            **images = images.transposed(handling.store)?;
        }
    }
    if is_inverted(both[0], handling.polarity, &mut findings) {
        for images in &mut both {
            **images = images.inverted(handling.store)?;
        }
    }
    let dataset = Dataset::new(name, train, test, parts.label_names)?;
    findings.extend(inspection::counts(&dataset));
    Ok(Assembled { dataset, findings })
}

/// The training and the test part.
fn divide(
    name: &str,
    train: LabelledImages,
    test: Option<LabelledImages>,
    label_names: &[String],
    handling: &Handling,
) -> Result<(LabelledImages, LabelledImages, Option<Finding>), DatasetError> {
    let invalid = |reason: &str| DatasetError::Invalid {
        dataset: name.to_owned(),
        reason: reason.to_owned(),
    };
    match (test, handling.test_fraction) {
        (Some(test), None) => Ok((train, test, None)),
        (None, Some(fraction)) => {
            let of = train.labels.len();
            let (train, test) = hold_out(&train, fraction, label_names.len(), handling.store)?;
            let held_out = Finding::HeldOut {
                test: test.labels.len(),
                of,
            };
            Ok((train, test, Some(held_out)))
        }
        (Some(_), Some(_)) => Err(invalid(
            "it has a test part: give no share of the images for the test",
        )),
        (None, None) => Err(invalid(
            "it has no test part: give a share of the images for the test",
        )),
    }
}

/// Whether to exchange rows and columns.
fn is_transposed(
    images: &Images,
    named_emnist: bool,
    orientation: Orientation,
    findings: &mut Vec<Finding>,
) -> bool {
    match orientation {
        Orientation::Transposed => return true,
        Orientation::AsStored => return false,
        Orientation::Detect => {}
    }
    let is_wide = named_emnist && inspection::aspect(images).is_some_and(|aspect| aspect > 1.0);
    if is_wide {
        findings.push(Finding::Transposed);
    } else if named_emnist {
        findings.push(Finding::NotTransposed);
    } else if inspection::look_transposed(images) {
        findings.push(Finding::LooksTransposed);
    }
    is_wide
}

/// Whether to exchange dark and light.
fn is_inverted(images: &Images, polarity: Polarity, findings: &mut Vec<Finding>) -> bool {
    match (polarity, inspection::are_dark_on_light(images)) {
        (Polarity::Inverted, _) => true,
        (Polarity::LightOnDark, true) => {
            findings.push(Finding::Inverted);
            true
        }
        (Polarity::AsStored, true) => {
            findings.push(Finding::DarkOnLight);
            false
        }
        (Polarity::AsStored | Polarity::LightOnDark, false) => false,
    }
}
