//! Reads a data set from pictures: a folder for each label, perhaps in folders for training and
//! test. Converts them to grey images of one size and reports what was converted.

mod layout;

use crate::{
    Error,
    image_set::{self, Collector, ImageSet, Numbered, Size},
};
use digits_dataset::{Handling, LabelledImages, MAX_CLASSES};
use indicatif::ProgressBar;
use layout::{Layout, Part};
use std::{collections::HashSet, fs, path::Path};

/// Whether the folder has folders with pictures, even if these cannot be read.
#[must_use]
pub fn is_one(dir: &Path) -> bool {
    let has_files = |found: Layout| found.parts().any(|part| part.files().next().is_some());
    layout::find(dir).map_or(true, has_files)
}

/// Whether the folder has two or more folders with pictures, whatever else is in it.
#[must_use]
pub fn has_labels(dir: &Path) -> bool {
    layout::find(dir).is_ok_and(|found| {
        let parts = found.parts().flat_map(Part::files);
        parts.map(|(label, _)| label).collect::<HashSet<_>>().len() > 1
    })
}

/// Reads a folder of pictures. They are scaled to `size` if one is given, else they must have one
/// size. Without a test part, `handling` or [`image_set::TEST_FRACTION`] says how many are kept for
/// the test.
///
/// # Errors
/// [`Error::Input`], which names the picture or the folder and the remedy.
pub fn read(
    dir: &Path,
    handling: &Handling,
    size: Option<Size>,
    progress: &ProgressBar,
) -> Result<ImageSet, Error> {
    let shown = dir.display().to_string();
    if handling.first_label.is_some() {
        let reason = "the labels are the names of the folders: leave --labels-from away";
        return Err(Error::input(shown, reason));
    }
    let layout = layout::find(dir)?;
    check_labels(dir, &layout)?;
    progress.set_length(layout.parts().map(|part| part.files().count() as u64).sum());
    let mut collector = Collector::new(size);
    let mut read = |part| read_part(part, &mut collector, progress);
    let train = read(&layout.train)?;
    let test = layout.test.as_ref().map(read).transpose()?;
    let parts = Numbered {
        shown,
        train,
        test,
        label_names: layout.labels,
        named_emnist: false,
    };
    Ok(ImageSet {
        assembled: image_set::finish(parts, handling, Vec::new())?,
        notes: layout.notes.into_iter().chain(collector.notes()).collect(),
    })
}

fn read_part(
    part: &Part,
    collector: &mut Collector,
    progress: &ProgressBar,
) -> Result<LabelledImages, Error> {
    let mut labels = Vec::new();
    for (label, path) in part.files() {
        let bytes =
            fs::read(path).map_err(|error| Error::input(path.display().to_string(), error))?;
        collector.encoded(&path.display(), &bytes)?;
        labels.push(label);
        progress.inc(1);
    }
    collector.part(labels)
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

#[cfg(test)]
mod tests;
