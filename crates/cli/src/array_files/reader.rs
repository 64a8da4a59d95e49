//! Reads the parts of a data set one after the other.

use super::{
    csv,
    names::Part,
    numpy,
    options::Options,
    parquet,
    sets::{ArraySet, Table},
    sink::Sink,
};
use crate::{
    Error,
    image_set::{self, ImageSet, LabelNames, Naming, Numbered},
};
use digits_dataset::{Handling, LabelledImages};
use indicatif::ProgressBar;

/// Reads a data set in one pass over its files.
///
/// # Errors
/// [`Error::Input`], which names the file and the line, row or image, and the remedy.
pub fn read(
    set: ArraySet,
    handling: &Handling,
    options: &Options,
    progress: &ProgressBar,
) -> Result<ImageSet, Error> {
    progress.set_length(set.size);
    let mut sink = Sink::new(options);
    let ArraySet {
        dir,
        prefix,
        mut parts,
        notes,
        ..
    } = set;
    notes.into_iter().for_each(|note| sink.note(note));
    let mut training = parts.remove(&Part::Train).unwrap_or_default();
    let validation = parts.remove(&Part::Validation);
    let test = parts.remove(&Part::Test);
    let test = match (test, validation) {
        (Some(test), Some(validation)) => {
            sink.note(
                "the images for validation were added to those for training, of which each job sets its own aside".to_owned(),
            );
            training.extend(validation);
            Some(test)
        }
        (None, Some(validation)) if !training.is_empty() => {
            sink.note("the images for validation are the test part".to_owned());
            Some(validation)
        }
        (test, validation) => test.or(validation),
    };
    // A single file is the whole data set, whatever its name.
    let (training, test) = match training.is_empty() {
        true => (test.unwrap_or_default(), None),
        false => (training, test),
    };
    let shown = dir.display().to_string();
    let train = read_part(&training, progress, &mut sink)?;
    let mut train = train.ok_or_else(|| {
        let reason = "has no column of labels: name it with --label-column, as its name, first, last or a number";
        Error::input(&shown, reason)
    })?;
    let mut test = match test {
        Some(tables) => read_part(&tables, progress, &mut sink)?,
        None => None,
    };
    let naming = Naming {
        dir: &dir,
        prefix: &prefix,
        first: handling.first_label,
        own: None,
    };
    let mut places = vec![&mut train.labels];
    places.extend(test.as_mut().map(|part| &mut part.labels));
    let (LabelNames { names, finding }, notes) = sink.finish(naming, &mut places)?;
    let named_emnist = prefix.starts_with("emnist");
    let parts = Numbered {
        shown,
        train,
        test,
        label_names: names,
        named_emnist,
    };
    Ok(ImageSet {
        assembled: image_set::finish(parts, handling, finding.into_iter().collect())?,
        notes,
    })
}

/// Reads the files of a part; `None` if they have no labels.
fn read_part(
    tables: &[Table],
    progress: &ProgressBar,
    sink: &mut Sink<'_>,
) -> Result<Option<LabelledImages>, Error> {
    for table in tables {
        let has_labels = match table {
            Table::Csv(path) => csv::read(path, progress, sink)?,
            Table::Parquet(path) => parquet::read(path, progress, sink)?,
            Table::Arrays { images, labels } => {
                numpy::read(images, labels, progress, sink)?;
                true
            }
        };
        if !has_labels {
            let (Table::Csv(path) | Table::Parquet(path)) = table else {
                continue;
            };
            sink.note(format!(
                "{} has no labels, and was left out",
                path.display()
            ));
            sink.part()?;
            return Ok(None);
        }
    }
    sink.part().map(Some)
}
