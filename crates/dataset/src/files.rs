//! Finds the IDX files of a data set in a folder, under MNIST's names and under those by which
//! Kaggle, EMNIST, QMNIST and others distribute such files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::{ffi::OsStr, fs};

use crate::DatasetError;

pub(crate) const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
pub(crate) const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
pub(crate) const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
pub(crate) const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";
const ALL: [&str; 4] = [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS];

/// Possible paths of the file in the folder: plain, or with `.gz`.
pub(crate) fn candidates(dir: &Path, file: &str) -> [PathBuf; 2] {
    [dir.join(file), dir.join(format!("{file}.gz"))]
}

/// The path of one of MNIST's files in the folder; plain is preferred to gzipped, and MNIST's own
/// name to others.
pub(crate) fn find(dir: &Path, file: &str, remedy: &'static str) -> Result<PathBuf, DatasetError> {
    for path in candidates(dir, file) {
        match fs::metadata(&path) {
            // As Kaggle's archive is unpacked: a folder with the name of the file.
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(DatasetError::io("read", path, error)),
        }
    }
    let set = sets(dir)?
        .into_iter()
        .find(|set| set.prefix.is_empty())
        .unwrap_or_default();
    set.path(dir, file, remedy)
}

/// The files of one data set in a folder.
#[derive(Debug, Default)]
pub(crate) struct FileSet {
    /// In front of the names of all its files: `emnist-letters`, or nothing.
    pub(crate) prefix: String,
    /// By the index of the file in [`ALL`].
    paths: BTreeMap<usize, PathBuf>,
}

impl FileSet {
    /// The path of one of the four files.
    pub(crate) fn path(
        &self,
        dir: &Path,
        file: &str,
        remedy: &'static str,
    ) -> Result<PathBuf, DatasetError> {
        let found = ALL.iter().position(|it| *it == file);
        let found = found.and_then(|index| self.paths.get(&index));
        found.cloned().ok_or_else(|| DatasetError::Missing {
            file: match self.prefix.as_str() {
                "" => file.to_owned(),
                prefix => format!("{prefix}-{file}"),
            },
            dir: dir.to_owned(),
            remedy,
        })
    }

    /// Whether it has a file of the test part.
    pub(crate) fn has_test(&self) -> bool {
        self.paths.keys().any(|index| *index >= 2)
    }

    /// Whether it has no file.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    fn can_be_trained_on(&self) -> bool {
        self.paths.contains_key(&0) && self.paths.contains_key(&1)
    }
}

/// The data set at `path`, and its folder: the only one of a folder, or the one whose files begin
/// with the last part of the path (`raw/emnist-letters`). Without any the set is empty.
pub(crate) fn at(path: &Path) -> Result<(PathBuf, FileSet), DatasetError> {
    let parent = match path.parent() {
        Some(parent) if parent == Path::new("") => Path::new("."),
        Some(parent) => parent,
        None => path,
    };
    if !path.exists()
        && let Some(wanted) = path.file_name().and_then(OsStr::to_str)
    {
        let wanted = wanted.trim_end_matches('-').to_ascii_lowercase();
        let set = sets(parent)?.into_iter().find(|it| it.prefix == wanted);
        return match set {
            Some(set) => Ok((parent.to_owned(), set)),
            None => Ok((path.to_owned(), FileSet::default())),
        };
    }
    let mut sets = sets(path)?;
    if sets.iter().any(FileSet::can_be_trained_on) {
        sets.retain(FileSet::can_be_trained_on);
    }
    // Others may lie beside a set that has MNIST's own names.
    if sets.len() > 1 && !sets[0].prefix.is_empty() {
        return Err(DatasetError::Several {
            dir: path.to_owned(),
            sets: sets.into_iter().map(|set| set.prefix).collect(),
        });
    }
    Ok((path.to_owned(), sets.into_iter().next().unwrap_or_default()))
}

/// All data sets of a folder, by prefix; none when there is no folder.
fn sets(dir: &Path) -> Result<Vec<FileSet>, DatasetError> {
    let mut found = Vec::new();
    for (name, path) in entries(dir)? {
        let Some((prefix, index)) = parse(&name) else {
            continue;
        };
        let files = match path.is_dir() {
            true => entries(&path)?,
            false => vec![(name, path)],
        };
        found.extend(files.into_iter().filter_map(|(name, path)| {
            let known = parse(&name)? == (prefix.clone(), index) && path.is_file();
            // MNIST's own name first, then plain files.
            let order = (!name.contains(ALL[index]), name.ends_with(".gz"), name);
            known.then(|| (prefix.clone(), index, order, path))
        }));
    }
    found.sort();
    let mut sets: BTreeMap<String, FileSet> = BTreeMap::new();
    for (prefix, index, _, path) in found {
        let set = sets.entry(prefix.clone()).or_insert_with(|| FileSet {
            prefix,
            ..FileSet::default()
        });
        set.paths.entry(index).or_insert(path);
    }
    Ok(sets.into_values().collect())
}

/// Names and paths in a folder; none when there is no folder.
fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>, DatasetError> {
    let failed = |source| DatasetError::io("read", dir, source);
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut all = Vec::new();
    for entry in listed {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            all.push((name, entry.path()));
        }
    }
    Ok(all)
}

/// The prefix of a file's name, and which of [`ALL`] it is: `emnist-letters` and 2 of
/// `emnist-letters-test-images-idx3-ubyte.gz`.
fn parse(name: &str) -> Option<(String, usize)> {
    const FORMAT: [&str; 8] = ["gz", "idx", "idx1", "idx2", "idx3", "ubyte", "uint8", "int"];
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(['-', '_', '.']).collect();
    let end = words.iter().rposition(|word| !FORMAT.contains(word))? + 1;
    let [prefix @ .., part, content] = &words[..end] else {
        return None;
    };
    let part = match *part {
        "train" | "training" => 0,
        "t10k" | "test" | "testing" => 2,
        _ => return None,
    };
    let content = match *content {
        "images" => 0,
        "labels" => 1,
        _ => return None,
    };
    // `._train-images-idx3-ubyte` is metadata of macOS.
    (!name.starts_with('.')).then(|| (prefix.join("-"), part + content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_distributions_are_known() {
        for (name, expected) in [
            ("train-images-idx3-ubyte", Some(("", 0))),
            ("train-labels-idx1-ubyte.gz", Some(("", 1))),
            ("t10k-images.idx3-ubyte", Some(("", 2))),
            ("t10k-labels.idx1-ubyte.gz", Some(("", 3))),
            (
                "emnist-letters-train-images-idx3-ubyte.gz",
                Some(("emnist-letters", 0)),
            ),
            (
                "emnist-letters-test-labels-idx1-ubyte",
                Some(("emnist-letters", 3)),
            ),
            ("qmnist-train-labels-idx2-int.gz", Some(("qmnist", 1))),
            ("qmnist-test-images-idx3-ubyte", Some(("qmnist", 2))),
            ("Train_Images.idx", Some(("", 0))),
            ("._train-images-idx3-ubyte", None),
            ("train-images.csv", None),
            ("emnist-letters-mapping.txt", None),
            ("train", None),
            ("idx3-ubyte.gz", None),
        ] {
            let found = parse(name);
            let found = found
                .as_ref()
                .map(|(prefix, index)| (prefix.as_str(), *index));
            assert_eq!(found, expected, "{name}");
        }
    }
}
