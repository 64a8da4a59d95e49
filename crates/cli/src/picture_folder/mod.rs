//! Reads a data set from pictures: a folder for each label, perhaps in folders for training and
//! test. Converts them to grey images of one size and reports what was converted.

mod decode;
mod layout;
mod size;

pub use size::Size;

use crate::Error;
use decode::{Conversions, decode};
use digits_dataset::{
    Assembled, Handling, Images, LabelledImages, MAX_CLASSES, Parts, assemble, idx,
};
use layout::{Layout, Part};
use std::{fs, path::Path};

/// Share of the pictures of each label that is kept for the test where nothing else is said.
pub const TEST_FRACTION: f64 = 0.2;

/// A data set of pictures.
pub struct PictureSet {
    /// The data set.
    pub assembled: Assembled,
    /// Sentences about what was ignored and converted.
    pub notes: Vec<String>,
}

/// Whether the folder has folders with pictures, even if these cannot be read.
#[must_use]
pub fn is_one(dir: &Path) -> bool {
    let has_files = |found: Layout| found.parts().any(|part| part.files().next().is_some());
    layout::find(dir).map_or(true, has_files)
}

/// Reads a folder of pictures. They are scaled to `size` if one is given, else they must have one
/// size. Without a test part, `handling` or [`TEST_FRACTION`] says how many are kept for the test.
///
/// # Errors
/// [`Error::Input`], which names the picture or the folder and the remedy.
pub fn read(dir: &Path, handling: &Handling, size: Option<Size>) -> Result<PictureSet, Error> {
    let shown = dir.display().to_string();
    if handling.first_label.is_some() {
        let reason = "the labels are the names of the folders: leave --labels-from away";
        return Err(Error::input(shown, reason));
    }
    let layout = layout::find(dir)?;
    check_labels(dir, &layout)?;
    let mut reader = Reader {
        size: size.map(|size| (size, None)),
        scale: size.is_some(),
        conversions: Conversions::default(),
    };
    let train = reader.part(&layout.train)?;
    let test = layout.test.as_ref().map(|part| reader.part(part));
    let test = test.transpose()?;
    let handling = Handling {
        test_fraction: match test {
            Some(_) => handling.test_fraction,
            None => handling.test_fraction.or(Some(TEST_FRACTION)),
        },
        ..*handling
    };
    let parts = Parts {
        train,
        test,
        label_names: layout.labels,
        named_emnist: false,
    };
    let assembled = assemble(&shown, parts, &handling, Vec::new())
        .map_err(|error| Error::input("data set", error))?;
    let notes = layout.notes.into_iter().chain(reader.conversions.notes());
    Ok(PictureSet {
        assembled,
        notes: notes.collect(),
    })
}

fn check_labels(dir: &Path, layout: &Layout) -> Result<(), Error> {
    let fail = |reason: String| Err(Error::input(dir.display().to_string(), reason));
    match &layout.labels[..] {
        [] => fail("has no folder of pictures for each label".to_owned()),
        [only] => fail(format!(
            "has only the folder {only:?}, and a data set has a folder for each of 2 or more labels: give {} if these are \
             in it",
            dir.join(only).display()
        )),
        labels if labels.len() > MAX_CLASSES => fail(format!(
            "has {} folders, one for each label, above {MAX_CLASSES}",
            labels.len()
        )),
        _ => Ok(()),
    }
}

struct Reader {
    /// The size of all images; with the picture that has it, unless the user gave it.
    size: Option<(Size, Option<String>)>,
    scale: bool,
    conversions: Conversions,
}

impl Reader {
    fn part(&mut self, part: &Part) -> Result<LabelledImages, Error> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for (label, path) in part.files() {
            pixels.extend(self.picture(path)?);
            labels.push(label);
            if pixels.len() as u64 > idx::MAX_CONTENT_BYTES {
                return Err(Error::input(
                    path.display().to_string(),
                    format!(
                        "up to this picture there are {} pixels, above the limit of {}: use fewer or smaller pictures",
                        pixels.len(),
                        idx::MAX_CONTENT_BYTES
                    ),
                ));
            }
        }
        let (height, width) = self
            .size
            .as_ref()
            .map_or((1, 1), |(size, _)| (size.height, size.width));
        Ok(LabelledImages {
            images: Images {
                count: labels.len(),
                height,
                width,
                pixels: pixels.into(),
            },
            labels,
        })
    }

    /// The grey pixels of a picture.
    fn picture(&mut self, path: &Path) -> Result<Vec<u8>, Error> {
        let shown = path.display().to_string();
        let bytes = fs::read(path).map_err(|error| Error::input(&shown, error))?;
        let decoded = decode(&bytes).map_err(|error| {
            let reason = format!(
                "cannot be read as a picture ({error}): replace or remove it; PNG, JPEG, WebP, BMP and GIF are read"
            );
            Error::input(&shown, reason)
        })?;
        let actual = decoded.size();
        let (size, like) = self.size.get_or_insert((actual, Some(shown.clone())));
        let (size, scale) = (*size, self.scale);
        if size != actual && !scale {
            let like = like.as_deref().unwrap_or_default();
            return Err(Error::input(
                &shown,
                format!(
                    "is {}x{} pixels, and {like} is {}x{}: make them one size, or have all scaled with --size, such as \
                     --size 28x28",
                    actual.height, actual.width, size.height, size.width
                ),
            ));
        }
        Ok(self.conversions.take(decoded, size))
    }
}

#[cfg(test)]
mod tests;
