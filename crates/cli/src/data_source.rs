//! Loads data sets of this machine: MNIST, the synthetic digits, folders of IDX files, folders of
//! pictures, and CSV, NumPy and Parquet files.

use crate::{
    args::{ReadFolder, Switch},
    context::Context,
};
use digits_cli::{
    Error,
    array_files::{self, ArraySet},
    image_set::ImageSet,
    picture_folder,
};
use digits_dataset::{
    Dataset, DatasetError, Finding, Handling, Orientation, PixelStore, Polarity, folder,
    mnist::{self, MnistSource},
    synthetic,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// The synthetic set of a job that gives no sizes.
const SYNTHETIC: synthetic::Options = synthetic::Options {
    train: 60_000,
    test: 10_000,
    seed: 0,
};
/// Time between two steps of a spinner.
const TICK: Duration = Duration::from_millis(200);
/// Folders below a folder that are searched for data sets.
const SEARCHED_LEVELS: usize = 3;

/// A data set of this machine.
pub struct Loaded {
    /// The data set.
    pub dataset: Dataset,
    /// What was changed, ignored or is unusual, in sentences.
    pub notes: Vec<String>,
}

/// Progress of loading a data set, on standard error.
pub fn progress(context: &Context) -> ProgressBar {
    let bar = match context.json {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(0),
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent}% read, {eta} left") {
        bar.set_style(style.progress_chars(context.style.choose("━╸─", "=> ")));
    }
    bar
}

/// Shows that a data set is being pushed, which takes a while if it is large.
pub fn pushing(context: &Context) -> ProgressBar {
    if context.json {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message("hashing and uploading");
    spinner.enable_steady_tick(TICK);
    spinner
}

/// Loads a data set by its name or the path of a folder or file, off the runtime's threads. Images
/// for which `handwriting` is declared, except those of IDX files, are made light on dark.
pub async fn load(
    name: &str,
    flags: &ReadFolder,
    handwriting: bool,
    progress: ProgressBar,
) -> Result<Loaded, Error> {
    let built_in = [mnist::NAME, synthetic::NAME].contains(&name);
    if built_in && *flags != ReadFolder::default() {
        return Err(Error::Usage(format!(
            "{name} is built in and needs no --transpose, --labels-from, --invert, --test-fraction, --size, --label-column \
             or --white"
        )));
    }
    let (owned, flags, bar) = (name.to_owned(), flags.clone(), progress.clone());
    let loading = tokio::task::spawn_blocking(move || match owned.as_str() {
        mnist::NAME => built_in_set(load_mnist(), &owned),
        synthetic::NAME => built_in_set(Ok(synthetic::generate(&SYNTHETIC)), &owned),
        path => load_path(Path::new(path), &flags, handwriting, &progress),
    });
    let loaded = loading.await;
    bar.finish_and_clear();
    match loaded {
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

fn load_path(
    path: &Path,
    flags: &ReadFolder,
    handwriting: bool,
    progress: &ProgressBar,
) -> Result<Loaded, Error> {
    let source = source(path)?;
    if let Some(reason) = misplaced(&source, flags) {
        return Err(Error::input(path.display().to_string(), reason));
    }
    let handling = handling(flags, handwriting && !matches!(source, Source::Idx));
    let read = match source {
        Source::Idx => {
            let shown = path.display().to_string();
            let read = folder::read(&shown, path, &handling);
            ImageSet {
                assembled: read.map_err(|error| Error::input(&shown, error))?,
                notes: Vec::new(),
            }
        }
        Source::Pictures => picture_folder::read(path, &handling, flags.size, progress)?,
        Source::Arrays(set) => {
            let options = array_files::Options {
                size: flags.size,
                label_column: flags.label_column.clone(),
                white: flags.white,
            };
            array_files::read(set, &handling, &options, progress)?
        }
    };
    Ok(loaded(read))
}

/// What is at a path.
enum Source {
    Idx,
    Pictures,
    Arrays(ArraySet),
}

/// Looks at the files of a path.
fn source(path: &Path) -> Result<Source, Error> {
    let shown = path.display().to_string();
    let is_file = path.is_file();
    if !is_file && folder::is_one(path).map_err(|error| Error::input(&shown, error))? {
        return Ok(Source::Idx);
    }
    // What is beside the pictures may be a list of them.
    if !is_file && picture_folder::has_labels(path) {
        return Ok(Source::Pictures);
    }
    if let Some(set) = array_files::at(path)? {
        return Ok(Source::Arrays(set));
    }
    if is_file {
        let reason =
            "is a file: give the folder that the data set is in, and unpack an archive first";
        return Err(Error::input(shown, reason));
    }
    if !path.exists() {
        return Err(Error::input(shown, "there is no such folder"));
    }
    if picture_folder::is_one(path) {
        return Ok(Source::Pictures);
    }
    let reason = match below(path, SEARCHED_LEVELS) {
        Some(found) => format!("the data set is in {}: give that folder", found.display()),
        None => {
            "has neither IDX files, named as MNIST's are, nor a folder of pictures for each label, nor CSV, NumPy or \
             Parquet files with images and labels"
                .to_owned()
        }
    };
    Err(Error::input(shown, reason))
}

/// Why a flag cannot be meant for what was found.
fn misplaced(source: &Source, flags: &ReadFolder) -> Option<&'static str> {
    let is_arrays = matches!(source, Source::Arrays(_));
    if matches!(source, Source::Idx) && flags.size.is_some() {
        Some("its images are not scaled: leave --size away, which is not for IDX files")
    } else if !is_arrays && (flags.label_column.is_some() || flags.white.is_some()) {
        Some("leave --label-column and --white away, which are for CSV, NumPy and Parquet files")
    } else {
        None
    }
}

fn handling(flags: &ReadFolder, light_on_dark: bool) -> Handling {
    Handling {
        orientation: match flags.transpose {
            None => Orientation::Detect,
            Some(Switch::Yes) => Orientation::Transposed,
            Some(Switch::No) => Orientation::AsStored,
        },
        polarity: match flags.invert {
            Some(Switch::Yes) => Polarity::Inverted,
            None if light_on_dark => Polarity::LightOnDark,
            None | Some(Switch::No) => Polarity::AsStored,
        },
        first_label: flags.labels_from,
        test_fraction: flags.test_fraction,
        store: PixelStore::TemporaryFile,
    }
}

fn loaded(read: ImageSet) -> Loaded {
    let findings = read
        .assembled
        .findings
        .iter()
        .map(|finding| match remedy(finding) {
            Some(remedy) => format!("{finding}; {remedy}"),
            None => finding.to_string(),
        });
    Loaded {
        notes: read.notes.into_iter().chain(findings).collect(),
        dataset: read.assembled.dataset,
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
        let is_arrays = |folder| array_files::at(folder).is_ok_and(|set| set.is_some());
        let is_one = folder::is_one(&folder).unwrap_or(true)
            || picture_folder::is_one(&folder)
            || is_arrays(&folder);
        match is_one {
            true => Some(folder),
            false if levels > 1 => below(&folder, levels - 1),
            false => None,
        }
    })
}
