//! The TOML file of `--config`, which lists data sets in folders.

use crate::datasets::{BUILT_IN, Folder};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// Largest number of data sets in the file.
const MAX_FOLDERS: usize = 100;

/// Errors of the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatasetFileError {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    #[error("lists {0} data sets; at most {MAX_FOLDERS} are allowed")]
    TooMany(usize),
    #[error("dataset name {0:?} must be 1 to 63 of a-z, 0-9, `-`, `_`, `.`")]
    Name(String),
    #[error("dataset name {0:?} is taken: choose another")]
    Taken(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    dataset: Vec<Dataset>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dataset {
    name: String,
    path: PathBuf,
    #[serde(default)]
    description: String,
}

/// Reads the data sets of the file at `path`.
///
/// # Errors
/// [`DatasetFileError`]
pub(super) fn read(path: &Path) -> Result<Vec<Folder>, DatasetFileError> {
    let text = fs::read_to_string(path)?;
    parse(&text, path.parent().unwrap_or(Path::new(".")))
}

/// The data sets of a file's text; their paths are relative to `folder`.
fn parse(text: &str, folder: &Path) -> Result<Vec<Folder>, DatasetFileError> {
    let datasets = toml::from_str::<File>(text)?.dataset;
    if datasets.len() > MAX_FOLDERS {
        return Err(DatasetFileError::TooMany(datasets.len()));
    }
    let mut names: BTreeSet<String> = BUILT_IN.into_iter().map(str::to_owned).collect();
    let check = |dataset: Dataset| {
        let name = dataset.name;
        if !is_valid_name(&name) {
            return Err(DatasetFileError::Name(name));
        }
        if !names.insert(name.clone()) {
            return Err(DatasetFileError::Taken(name));
        }
        Ok(Folder {
            name,
            path: folder.join(dataset.path),
            description: dataset.description,
        })
    };
    datasets.into_iter().map(check).collect()
}

fn is_valid_name(name: &str) -> bool {
    let valid =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    (1..=63).contains(&name.len()) && name.bytes().all(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_file() {
        let text =
            "[[dataset]]\nname = \"letters\"\npath = \"data/letters\"\ndescription = \"a to z\"\n";
        let folders = parse(text, Path::new("/etc/digits")).expect("valid");
        assert_eq!(folders[0].path, Path::new("/etc/digits/data/letters"));
        assert_eq!(folders[0].description, "a to z");
    }

    #[test]
    fn an_invalid_file_is_refused_with_its_reason() {
        let one = "[[dataset]]\nname = \"a\"\npath = \"a\"\n";
        for (text, part) in [
            ("[[dataset]]\nname = \"mnist\"\npath = \"x\"\n", "taken"),
            ("[[dataset]]\nname = \"A b\"\npath = \"x\"\n", "a-z"),
            ("[[dataset]]\nname = \"a\"\n", "path"),
            (
                "[[dataset]]\nname = \"a\"\npath = \"x\"\nsize = 3\n",
                "size",
            ),
            ("datasets = 3\n", "datasets"),
            (&one.repeat(2), "taken"),
            (&one.repeat(101), "101"),
        ] {
            let error = parse(text, Path::new(".")).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
