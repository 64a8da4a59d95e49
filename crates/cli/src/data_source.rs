//! Loads data sets of this machine: MNIST, the synthetic digits, folders of IDX files, and folders
//! of pictures.

use crate::args::{ReadFolder, Switch};
use digits_cli::{Error, picture_folder};
use digits_dataset::{
    Assembled, Dataset, DatasetError, Finding, Handling, Orientation, Polarity, folder,
    mnist::{self, MnistSource},
    synthetic,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The synthetic set of a job that gives no sizes.
const SYNTHETIC: synthetic::Options = synthetic::Options {
    train: 60_000,
    test: 10_000,
    seed: 0,
};
/// Folders below a folder that are searched for data sets.
const SEARCHED_LEVELS: usize = 3;

/// A data set of this machine.
pub struct Loaded {
    /// The data set.
    pub dataset: Dataset,
    /// What was changed, ignored or is unusual, in sentences.
    pub notes: Vec<String>,
}

/// Loads a data set by the name or the path of a folder, off the runtime's threads. Pictures for
/// which `handwriting` is declared are made light on dark.
pub async fn load(name: &str, flags: &ReadFolder, handwriting: bool) -> Result<Loaded, Error> {
    let built_in = [mnist::NAME, synthetic::NAME].contains(&name);
    if built_in && *flags != ReadFolder::default() {
        return Err(Error::Usage(format!(
            "{name} is built in and needs no --transpose, --labels-from, --invert, --test-fraction or --size"
        )));
    }
    let (owned, flags) = (name.to_owned(), flags.clone());
    let loading = tokio::task::spawn_blocking(move || match owned.as_str() {
        mnist::NAME => built_in_set(load_mnist(), &owned),
        synthetic::NAME => built_in_set(Ok(synthetic::generate(&SYNTHETIC)), &owned),
        path => load_folder(Path::new(path), &flags, handwriting),
    });
    match loading.await {
        Ok(loaded) => loaded,
        Err(error) => Err(Error::input(name, error)),
    }
}

fn built_in_set(dataset: Result<Dataset, DatasetError>, name: &str) -> Result<Loaded, Error> {
    Ok(Loaded {
        dataset: dataset.map_err(|error| Error::input(name, error))?,
        notes: Vec::new(),
    })
}

/// MNIST from `DIGITS_MNIST_DIR` or the cache, else downloaded with a note on standard error.
fn load_mnist() -> Result<Dataset, DatasetError> {
    let mut file = String::new();
    mnist::load(&MnistSource::default(), &mut |progress| {
        if progress.file != file {
            file = progress.file.to_owned();
            eprintln!("downloading {} from {}", progress.file, progress.mirror);
        }
    })
}

fn load_folder(path: &Path, flags: &ReadFolder, handwriting: bool) -> Result<Loaded, Error> {
    let shown = path.display().to_string();
    let failed = |error: DatasetError| Error::input(&shown, error);
    if path.is_file() {
        let reason =
            "is a file: give the folder that the data set is in, and unpack an archive first";
        return Err(Error::input(shown, reason));
    }
    let handling = handling(flags);
    if folder::is_one(path).map_err(failed)? {
        if flags.size.is_some() {
            let reason =
                "its images are not scaled: leave --size away, which is for folders of pictures";
            return Err(Error::input(shown, reason));
        }
        let read = folder::read(&shown, path, &handling).map_err(failed)?;
        return Ok(loaded(read, Vec::new()));
    }
    if !path.exists() {
        return Err(Error::input(shown, "there is no such folder"));
    }
    if picture_folder::is_one(path) {
        let polarity = match flags.invert {
            None if handwriting => Polarity::LightOnDark,
            _ => handling.polarity,
        };
        let handling = Handling {
            polarity,
            ..handling
        };
        let read = picture_folder::read(path, &handling, flags.size)?;
        return Ok(loaded(read.assembled, read.notes));
    }
    let below = below(path, SEARCHED_LEVELS);
    let reason = match below {
        Some(found) => format!("the data set is in {}: give that folder", found.display()),
        None => {
            "has neither IDX files, named as MNIST's are, nor a folder of pictures for each label"
                .to_owned()
        }
    };
    Err(Error::input(shown, reason))
}

fn handling(flags: &ReadFolder) -> Handling {
    Handling {
        orientation: match flags.transpose {
            None => Orientation::Detect,
            Some(Switch::Yes) => Orientation::Transposed,
            Some(Switch::No) => Orientation::AsStored,
        },
        polarity: match flags.invert {
            Some(Switch::Yes) => Polarity::Inverted,
            None | Some(Switch::No) => Polarity::AsStored,
        },
        first_label: flags.labels_from,
        test_fraction: flags.test_fraction,
    }
}

fn loaded(read: Assembled, notes: Vec<String>) -> Loaded {
    let findings = read.findings.iter().map(|finding| match remedy(finding) {
        Some(remedy) => format!("{finding}; {remedy}"),
        None => finding.to_string(),
    });
    Loaded {
        notes: notes.into_iter().chain(findings).collect(),
        dataset: read.dataset,
    }
}

/// What the user can do about it.
fn remedy(finding: &Finding) -> Option<&'static str> {
    Some(match finding {
        Finding::Transposed => "--transpose=no leaves them as they are",
        Finding::NotTransposed => "--transpose transposes them",
        Finding::LooksTransposed => {
            "if they do in `digits dataset show FOLDER` too, push with --transpose"
        }
        Finding::Inverted => "--invert=no leaves them as they are",
        Finding::DarkOnLight => {
            "pictures for the network must be dark on light too, and those that are normalized as handwriting are not: \
             --invert makes the data set light on dark"
        }
        Finding::LabelsFrom(_) => "--labels-from 0 keeps the numbers of the files",
        Finding::NoLabelZero => "if they count from 1, push with --labels-from 1",
        Finding::HeldOut { .. } => "--test-fraction sets the share",
        Finding::NoImages { .. } => "add images, or remove the label",
        Finding::FewImages { .. } => "add images for a network that can tell these labels apart",
        _ => return None,
    })
}

/// The first folder below that has a data set.
fn below(dir: &Path, levels: usize) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.into_iter().find_map(|folder| {
        let is_one = folder::is_one(&folder).unwrap_or(true) || picture_folder::is_one(&folder);
        match is_one {
            true => Some(folder),
            false if levels > 1 => below(&folder, levels - 1),
            false => None,
        }
    })
}
