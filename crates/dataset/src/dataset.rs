//! A data set in memory, and the checks that its parts fit together.

use crate::{DatasetError, Images, LabelledImages, MAX_CLASSES, MAX_SIDE, digest};
use digits_checkpoint::limits;

/// A data set with its customary division. A value made by this crate has passed
/// [`Dataset::validate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Name by which clients refer to the data set.
    pub name: String,
    /// For training and validation.
    pub train: LabelledImages,
    /// For the test only.
    pub test: LabelledImages,
    /// Names of the labels, by index.
    pub label_names: Vec<String>,
    /// SHA-256, in hexadecimal, of the content: see [`Dataset::content_digest`].
    pub digest: String,
}

impl Dataset {
    /// Puts a data set together, checks it and computes its digest.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Invalid`] as [`Dataset::validate`].
    pub fn new(
        name: &str,
        train: LabelledImages,
        test: LabelledImages,
        label_names: Vec<String>,
    ) -> Result<Self, DatasetError> {
        let mut dataset = Self {
            name: name.to_owned(),
            train,
            test,
            label_names,
            digest: String::new(),
        };
        dataset.validate()?;
        dataset.digest = dataset.content_digest();
        Ok(dataset)
    }

    /// Number of labels.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.label_names.len()
    }

    /// Rows of every image.
    #[must_use]
    pub fn height(&self) -> usize {
        self.train.images.height
    }

    /// Columns of every image.
    #[must_use]
    pub fn width(&self) -> usize {
        self.train.images.width
    }

    /// The digest of the content: whatever the name of the data set and however its files are
    /// packed, equal content has an equal digest, and it is stable between versions of this
    /// program.
    ///
    /// It is the SHA-256 of this text (five lines after the first, each closed by `\n`):
    ///
    /// ```text
    /// digits dataset 1
    /// <d> train-images
    /// <d> train-labels
    /// <d> test-images
    /// <d> test-labels
    /// <d> label-names
    /// ```
    ///
    /// where each `<d>` is the SHA-256, in lower-case hexadecimal, of the uncompressed IDX file
    /// that [`encode_images`](crate::idx::encode_images) or
    /// [`encode_labels`](crate::idx::encode_labels) makes of that part (for MNIST: of the published
    /// file, gunzipped), and of `label-names` that of the names, each followed by `\n`.
    #[must_use]
    pub fn content_digest(&self) -> String {
        digest::of_files(
            &digest::of_each_file(&self.train, &self.test),
            &self.label_names,
        )
    }

    /// Checks that the parts fit together.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Invalid`] when a part is empty, the pixels or labels are not as many as the
    /// images, the two parts differ in size, a side is 0 or above [`MAX_SIDE`], there are fewer
    /// than 2 or more than [`MAX_CLASSES`] labels, a label has no name, a name is empty, has a
    /// control character, is longer than 256 bytes or occurs twice.
    pub fn validate(&self) -> Result<(), DatasetError> {
        self.first_fault().map_or(Ok(()), |reason| {
            Err(DatasetError::Invalid {
                dataset: self.name.clone(),
                reason,
            })
        })
    }

    fn first_fault(&self) -> Option<String> {
        let (train, test) = (&self.train.images, &self.test.images);
        if (train.height, train.width) != (test.height, test.width) {
            return Some(format!(
                "the training images are {}×{} and the test images {}×{}; make them one size",
                train.height, train.width, test.height, test.width
            ));
        }
        fault_of_names(&self.label_names)
            .or_else(|| fault_of_part("training", &self.train, self.label_names.len()))
            .or_else(|| fault_of_part("test", &self.test, self.label_names.len()))
    }
}

/// What makes names of labels unsuitable: nobody could tell the answers of a network apart.
pub(crate) fn fault_of_names(names: &[String]) -> Option<String> {
    if names.len() < 2 || names.len() > MAX_CLASSES {
        return Some(format!("{} labels; give 2 to {MAX_CLASSES}", names.len()));
    }
    let mut seen = std::collections::HashSet::new();
    names.iter().enumerate().find_map(|(index, name)| {
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Some(format!(
                "the name of label {index} is {name:?}; give it a printable name"
            ));
        }
        if name.len() > limits::LABEL_BYTES {
            return Some(format!(
                "the name of label {index} is longer than {} bytes: shorten it",
                limits::LABEL_BYTES
            ));
        }
        (!seen.insert(name)).then(|| {
            format!("the name of label {index}, {name:?}, occurs twice; make the names differ")
        })
    })
}

fn fault_of_part(part: &str, data: &LabelledImages, classes: usize) -> Option<String> {
    let Images {
        count,
        height,
        width,
        ref pixels,
    } = data.images;
    if count == 0 {
        return Some(format!("there is no {part} image; give at least one"));
    }
    if !(1..=MAX_SIDE).contains(&height) || !(1..=MAX_SIDE).contains(&width) {
        return Some(format!(
            "the images are {height}×{width}; a side has 1 to {MAX_SIDE} pixels"
        ));
    }
    if count.checked_mul(height * width) != Some(pixels.len()) {
        return Some(format!(
            "{} pixels for {count} {part} images of {height}×{width}",
            pixels.len()
        ));
    }
    if data.labels.len() != count {
        return Some(format!(
            "{count} {part} images but {} labels; they belong one to one",
            data.labels.len()
        ));
    }
    data.labels
        .iter()
        .position(|&label| usize::from(label) >= classes)
        .map(|index| {
            format!(
                "{part} image {index} has label {} but there are {classes} labels, 0 to {}",
                data.labels[index],
                classes - 1
            )
        })
}

/// The names "0", "1", … for labels that have none.
#[must_use]
pub fn numbered_names(classes: usize) -> Vec<String> {
    (0..classes).map(|label| label.to_string()).collect()
}
