//! Names the labels of a folder of data files, and tells from which number its labels count.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::RangeInclusive;
use std::path::Path;

use crate::{DatasetError, Finding, MAX_CLASSES};

/// Name of the file with the names of the labels.
pub const LABELS_FILE: &str = "labels.txt";
/// Maximum size of a file of names in bytes.
const MAX_BYTES: u64 = 256 << 10;
/// EMNIST's data set whose labels count from 1, and its greatest label.
const EMNIST_LETTERS: (&str, u16) = ("emnist-letters", 26);

/// The names of the labels, and the number in the files that is the first one.
pub struct NamedLabels {
    /// Names by index.
    pub names: Vec<String>,
    /// What is subtracted from the numbers of the files.
    pub first: u16,
    /// What is unusual about the first one.
    pub finding: Option<Finding>,
}

/// The names of the labels of a folder: from `labels.txt`, from EMNIST's mapping, else their
/// numbers. `prefix` is in front of the names of the data set's files; `first` is the user's choice;
/// the labels `occurring` have it subtracted already.
///
/// # Errors
///
/// [`DatasetError::Io`] and [`DatasetError::Format`] of a file with names.
pub fn name_labels(
    dir: &Path,
    prefix: &str,
    first: Option<u16>,
    occurring: RangeInclusive<u16>,
) -> Result<NamedLabels, DatasetError> {
    let begins_at_one = *occurring.start() == 1 && first.is_none();
    let Named { names, first } = names(dir, prefix, first, occurring)?;
    Ok(NamedLabels {
        names,
        first,
        finding: match first {
            0 => begins_at_one.then_some(Finding::NoLabelZero),
            first => Some(Finding::LabelsFrom(first)),
        },
    })
}

struct Named {
    names: Vec<String>,
    first: u16,
}

fn names(
    dir: &Path,
    prefix: &str,
    first: Option<u16>,
    occurring: RangeInclusive<u16>,
) -> Result<Named, DatasetError> {
    let (smallest, greatest) = occurring.into_inner();
    if let Some(names) = lines(&dir.join(LABELS_FILE))? {
        // As many names as labels, if they count from 1: from 0 the greatest would have none.
        let from_one = smallest == 1 && names.len() == usize::from(greatest);
        let first = first.unwrap_or(u16::from(from_one));
        return Ok(Named { names, first });
    }
    if let Some((mapped, names)) = mapping(dir, prefix)?
        && first.map_or(smallest >= mapped, |first| first == mapped)
    {
        return Ok(Named {
            names,
            first: mapped,
        });
    }
    let (letters, most) = EMNIST_LETTERS;
    let from_one = prefix.starts_with(letters) && smallest == 1 && greatest <= most;
    let begins = first.unwrap_or(u16::from(from_one));
    let last = greatest + first.unwrap_or(0);
    Ok(Named {
        names: (begins..=last).map(|label| label.to_string()).collect(),
        first: begins,
    })
}

/// EMNIST's names: each line has a label and the codes of the characters that it stands for.
/// Returns the first label and the first character of each.
fn mapping(dir: &Path, prefix: &str) -> Result<Option<(u16, Vec<String>)>, DatasetError> {
    if prefix.is_empty() {
        return Ok(None);
    }
    let path = dir.join(format!("{prefix}-mapping.txt"));
    let Some(lines) = lines(&path)? else {
        return Ok(None);
    };
    let parsed: Option<Vec<(u16, String)>> = lines
        .iter()
        .map(|line| {
            let mut numbers = line.split_whitespace();
            let label = numbers.next()?.parse().ok()?;
            let character = char::from_u32(numbers.next()?.parse().ok()?)?;
            Some((label, character.to_string()))
        })
        .collect();
    let first = parsed.as_ref().and_then(|all| Some(all.first()?.0));
    let consecutive = parsed.filter(|all| {
        (first.unwrap_or(0)..)
            .zip(all)
            .all(|(expected, (label, _))| expected == *label)
    });
    match (first, consecutive) {
        (Some(first), Some(all)) => Ok(Some((
            first,
            all.into_iter().map(|(_, name)| name).collect(),
        ))),
        _ => Err(DatasetError::format(
            &path.display().to_string(),
            "its lines are not EMNIST's: a label, then codes of characters, the labels in order",
            "remove the file, and name the labels in labels.txt",
        )),
    }
}

/// The lines of a small text file, without white space around them; `None` when there is no file.
fn lines(path: &Path) -> Result<Option<Vec<String>>, DatasetError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DatasetError::io("read", path, error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| DatasetError::io("read", path, source))?;
    let fault = |reason: String| {
        DatasetError::format(
            &path.display().to_string(),
            reason,
            "give one name a line, or remove the file",
        )
    };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(fault(format!("it has more than {MAX_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| fault("it is not UTF-8".to_owned()))?;
    let text = text.trim_start_matches('\u{feff}').trim_end();
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    if names.len() > MAX_CLASSES {
        return Err(fault(format!(
            "it has {} lines, above {MAX_CLASSES}",
            names.len()
        )));
    }
    Ok(Some(names))
}
