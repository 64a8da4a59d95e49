//! Finds the pictures of a folder, and their labels: the names of the folders that they are in.

use crate::{Error, natural_order::natural};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

const READ: [&str; 9] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "gif",
];
/// Pictures that are not read: to leave them out would be a data set that its user does not expect.
const NOT_READ: [&str; 11] = [
    "heic", "heif", "avif", "tif", "tiff", "jp2", "svg", "pgm", "ppm", "pbm", "tga",
];
/// Files and folders that systems put into folders, besides those whose names begin with a dot.
const FOREIGN: [&str; 5] = [
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "__macosx",
    "@eadir",
];
const TRAIN: [&str; 2] = ["train", "training"];
const TEST: [&str; 3] = ["test", "testing", "t10k"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];

/// The pictures of a data set.
pub(super) struct Layout {
    /// Names of the labels, in natural order.
    pub(super) labels: Vec<String>,
    pub(super) train: Part,
    pub(super) test: Option<Part>,
    /// Sentences about what is not as usual.
    pub(super) notes: Vec<String>,
}

/// The pictures of a part, by label, each label's in natural order.
#[derive(Default)]
pub(super) struct Part(Vec<(u16, PathBuf)>);

impl Part {
    pub(super) fn files(&self) -> impl Iterator<Item = (u16, &Path)> {
        self.0.iter().map(|(label, path)| (*label, path.as_path()))
    }
}

impl Layout {
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        [&self.train].into_iter().chain(&self.test)
    }
}

/// Looks through a folder with a folder for each label, or with folders of such folders for
/// training, test and perhaps validation.
pub(super) fn find(dir: &Path) -> Result<Layout, Error> {
    let mut ignored = Vec::new();
    let sources = sources(dir, &mut ignored)?;
    let mut labelled = Vec::new();
    for folder in sources.train.iter().chain(&sources.test) {
        labelled.push(labels_of(folder, &mut ignored)?);
    }
    let mut labels: Vec<String> = labelled
        .iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    labels.sort_by(|left, right| natural(left, right));
    labels.dedup();
    let index = |name: &String| labels.iter().position(|it| it == name).unwrap_or(0);
    let mut parts = labelled.into_iter().map(|folder| {
        let files = folder.into_iter().flat_map(|(name, files)| {
            let label = u16::try_from(index(&name)).unwrap_or(u16::MAX);
            files.into_iter().map(move |path| (label, path))
        });
        files.collect::<Vec<_>>()
    });
    let mut train: Vec<_> = parts.by_ref().take(sources.train.len()).flatten().collect();
    train.sort_by_key(|(label, _)| *label);
    let test = parts.next().map(Part);
    Ok(Layout {
        train: Part(train),
        test,
        labels,
        notes: sources.note.into_iter().chain(note_of(&ignored)).collect(),
    })
}

fn note_of(ignored: &[PathBuf]) -> Option<String> {
    let first = ignored.first()?.display();
    Some(match ignored.len() {
        1 => format!("{first} was ignored: it is no picture in the folder of a label"),
        count => format!(
            "{count} files or folders were ignored that are no pictures in the folder of a label, such as {first}"
        ),
    })
}

/// The folders that have the labels' folders.
struct Sources {
    train: Vec<PathBuf>,
    test: Option<PathBuf>,
    note: Option<String>,
}

/// The folder itself, or its folders for training, test and validation. A folder `train` without
/// folders in it is that of a label.
fn sources(dir: &Path, ignored: &mut Vec<PathBuf>) -> Result<Sources, Error> {
    let mut folders = folders(dir, ignored)?;
    let mut take = |names: &[&str]| {
        let is_named = |it: &(String, _)| names.contains(&it.0.to_lowercase().as_str());
        let index = folders.iter().position(is_named)?;
        Some(folders.remove(index).1)
    };
    let (train, test, validation) = (take(&TRAIN), take(&TEST), take(&VALIDATION));
    let Some(train) = train.filter(|it| has_folders(it)) else {
        return Ok(Sources {
            train: vec![dir.to_owned()],
            test: None,
            note: None,
        });
    };
    ignored.extend(folders.into_iter().map(|(_, path)| path));
    let note = validation.as_ref().map(|validation| {
        let what = match test {
            None => "are the test part",
            Some(_) => {
                "were added to those for training, of which each job sets its own aside for validation"
            }
        };
        format!("the pictures in {} {what}", validation.display())
    });
    Ok(match test {
        None => Sources {
            train: vec![train],
            test: validation,
            note,
        },
        Some(_) => Sources {
            train: [train].into_iter().chain(validation).collect(),
            test,
            note,
        },
    })
}

fn has_folders(dir: &Path) -> bool {
    let is_dir = |it: &(String, PathBuf)| it.1.is_dir();
    entries(dir).is_ok_and(|entries| entries.iter().any(is_dir))
}

type Named<T> = Vec<(String, T)>;

/// The folders for each label, with their pictures.
fn labels_of(dir: &Path, ignored: &mut Vec<PathBuf>) -> Result<Named<Vec<PathBuf>>, Error> {
    let mut labels = Vec::new();
    for (name, folder) in folders(dir, ignored)? {
        labels.push((name, pictures(&folder, ignored)?));
    }
    Ok(labels)
}

/// The folders in a folder, in natural order.
fn folders(dir: &Path, ignored: &mut Vec<PathBuf>) -> Result<Named<PathBuf>, Error> {
    let (folders, files): (Named<PathBuf>, _) = entries(dir)?
        .into_iter()
        .partition(|(_, path)| path.is_dir());
    for (_, file) in files {
        if !ignored.contains(&file) {
            ignored.push(file);
        }
    }
    Ok(folders)
}

fn pictures(folder: &Path, ignored: &mut Vec<PathBuf>) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for (_, path) in entries(folder)? {
        let extension = path
            .extension()
            .and_then(OsStr::to_str)
            .map(str::to_ascii_lowercase);
        match extension.as_deref() {
            _ if path.is_dir() => ignored.push(path),
            None if begins_as_picture(&path) => found.push(path),
            Some(extension) if READ.contains(&extension) => found.push(path),
            Some(extension) if NOT_READ.contains(&extension) => {
                let reason = format!(
                    "is a picture in a format that is not read, {extension}: convert it to PNG or JPEG, or remove it"
                );
                return Err(Error::input(path.display().to_string(), reason));
            }
            None | Some(_) => ignored.push(path),
        }
    }
    Ok(found)
}

/// Whether a file without an extension is a picture.
fn begins_as_picture(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    read.is_ok() && image::guess_format(&start).is_ok()
}

/// The entries of a folder in natural order, without those that are hidden or the system's.
fn entries(dir: &Path) -> Result<Named<PathBuf>, Error> {
    let failed = |error| Error::input(dir.display().to_string(), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string().map_err(|name| {
            let reason = "its name is not UTF-8: rename it";
            Error::input(dir.join(name).display().to_string(), reason)
        })?;
        if !name.starts_with('.') && !FOREIGN.contains(&name.to_lowercase().as_str()) {
            found.push((name, entry.path()));
        }
    }
    found.sort_by(|left, right| natural(&left.0, &right.0));
    Ok(found)
}
