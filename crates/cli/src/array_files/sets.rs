//! Finds the files of a data set: one file, or those of a folder whose names tell what they have.

use super::{
    format::{self, Format},
    names::{self, Content, Name, Part},
    numpy::{self, Array},
};
use crate::Error;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// Images with their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Csv(PathBuf),
    Parquet(PathBuf),
    Arrays { images: Array, labels: Array },
}

/// The files of a data set.
#[derive(Debug, Default)]
pub struct ArraySet {
    /// The folder that they are in.
    pub(super) dir: PathBuf,
    /// In front of the names of all files.
    pub(super) prefix: String,
    pub(super) parts: BTreeMap<Part, Vec<Table>>,
    /// Bytes of all files.
    pub(super) size: u64,
    pub(super) notes: Vec<String>,
}

/// A file, or an array in one.
struct Entry {
    name: Name,
    format: Format,
    array: Array,
}

/// Finds the data set of a file, of a folder, or of those in a folder the one whose files begin with
/// the last part of the path; `None` if there is none.
///
/// # Errors
/// [`Error::Input`] when a folder has several, or an array of images has no labels.
pub fn at(path: &Path) -> Result<Option<ArraySet>, Error> {
    let parent = match path.parent() {
        Some(parent) if parent == Path::new("") => Path::new("."),
        Some(parent) => parent,
        None => path,
    };
    let mut sets = if path.is_file() {
        sets(parent, entries(path)?)?
    } else if path.is_dir() {
        sets(path, entries_of(path)?)?
    } else {
        let wanted = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let wanted = wanted.trim_end_matches(['-', '_']).to_ascii_lowercase();
        let wanted = wanted.replace('_', "-");
        let mut entries = entries_of(parent)?;
        entries.retain(|it| !wanted.is_empty() && it.name.prefix == wanted);
        sets(parent, entries)?
    };
    // Others may lie beside a set for training.
    if sets.iter().any(|set| set.parts.contains_key(&Part::Train)) {
        sets.retain(|set| set.parts.contains_key(&Part::Train));
    }
    if sets.len() > 1 {
        let mut prefixes: Vec<&str> = sets.iter().map(|it| it.prefix.as_str()).collect();
        prefixes.dedup();
        let reason = match prefixes[..] {
            [_] => "has data sets in several formats: give the path of one file, or move the others away".to_owned(),
            [first, ..] => format!(
                "has the files of several data sets, {}: name one of them, as {}",
                prefixes.join(", "),
                path.join(first).display()
            ),
            [] => String::new(),
        };
        return Err(Error::input(path.display().to_string(), reason));
    }
    Ok(sets.pop())
}

/// The entries of all files of a folder; none if there is no folder.
fn entries_of(dir: &Path) -> Result<Vec<Entry>, Error> {
    let Ok(listed) = fs::read_dir(dir) else {
        return Ok(Vec::new());
    };
    let mut paths: Vec<PathBuf> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        all.extend(entries(&path)?);
    }
    Ok(all)
}

/// The entries of a file: the arrays of an archive, else itself.
fn entries(path: &Path) -> Result<Vec<Entry>, Error> {
    let failed = |error| Error::input(path.display().to_string(), error);
    let file_name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    if file_name.is_empty() || file_name.starts_with('.') {
        return Ok(Vec::new());
    }
    let Some(format) = format::of(path).map_err(failed)? else {
        return Ok(Vec::new());
    };
    let name = names::parse(file_name);
    let entry = |name: Name, member: Option<String>| Entry {
        name,
        format,
        array: Array {
            path: path.to_owned(),
            member,
        },
    };
    if format != Format::Npz {
        return Ok(vec![entry(name, None)]);
    }
    let members = numpy::members(path)?.into_iter().map(|member| {
        let inner = names::parse(&member);
        let name = Name {
            prefix: name.prefix.clone(),
            part: inner.part.or(name.part),
            content: inner.content.or(name.content),
        };
        entry(name, Some(member))
    });
    Ok(members.collect())
}

/// The data sets of entries, by prefix and format.
fn sets(dir: &Path, entries: Vec<Entry>) -> Result<Vec<ArraySet>, Error> {
    let mut groups: BTreeMap<(String, u8), Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        let format = match entry.format {
            Format::Csv => 0,
            Format::Parquet => 1,
            Format::Npy | Format::Npz => 2,
        };
        let key = (entry.name.prefix.clone(), format);
        groups.entry(key).or_default().push(entry);
    }
    let mut sets = Vec::new();
    for ((prefix, _), entries) in groups {
        let mut parts: BTreeMap<Part, Vec<Entry>> = BTreeMap::new();
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in entries {
            paths.push(entry.array.path.clone());
            let part = entry.name.part.unwrap_or(Part::Train);
            parts.entry(part).or_default().push(entry);
        }
        paths.dedup();
        let mut set = ArraySet {
            dir: dir.to_owned(),
            prefix,
            size: paths
                .iter()
                .filter_map(|path| Some(path.metadata().ok()?.len()))
                .sum(),
            ..ArraySet::default()
        };
        for (part, entries) in parts {
            let tables = tables(entries, part, &mut set.notes)?;
            if !tables.is_empty() {
                set.parts.insert(part, tables);
            }
        }
        if !set.parts.is_empty() {
            sets.push(set);
        }
    }
    Ok(sets)
}

/// The tables of a part.
fn tables(entries: Vec<Entry>, part: Part, notes: &mut Vec<String>) -> Result<Vec<Table>, Error> {
    let mut arrays = Vec::new();
    let mut tables = Vec::new();
    for entry in entries {
        match entry.format {
            Format::Csv => tables.push(Table::Csv(entry.array.path)),
            Format::Parquet => tables.push(Table::Parquet(entry.array.path)),
            Format::Npy | Format::Npz => arrays.push(entry),
        }
    }
    if arrays.is_empty() {
        return Ok(tables);
    }
    name_by_rank(&mut arrays)?;
    let with = |content| {
        arrays
            .iter()
            .filter(move |it| it.name.content == Some(content))
    };
    // As sklearn's, which has the same images as rows and as squares.
    let squares = with(Content::Images).find(|it| it.array.member.as_deref() == Some("images"));
    let images = squares.or_else(|| with(Content::Images).next());
    match (images, with(Content::Labels).next()) {
        (Some(images), Some(labels)) => tables.push(Table::Arrays {
            images: images.array.clone(),
            labels: labels.array.clone(),
        }),
        (Some(images), None) if part != Part::Train => notes.push(format!(
            "{} has no labels beside it, and was left out",
            images.array
        )),
        (Some(images), None) => {
            let reason = "has no labels beside it: save them as y_train.npy beside x_train.npy, or as y_train in the same \
                          archive, and give the folder or the archive";
            return Err(Error::input(images.array.to_string(), reason));
        }
        (None, _) => {}
    }
    Ok(tables)
}

/// Of two arrays without telling names, as `numpy.savez(file, images, labels)` saves them, that of
/// one dimension has the labels.
fn name_by_rank(arrays: &mut [Entry]) -> Result<(), Error> {
    let [first, second] = arrays else {
        return Ok(());
    };
    if first.name.content.is_some() || second.name.content.is_some() {
        return Ok(());
    }
    for entry in [first, second] {
        entry.name.content = Some(match numpy::rank(&entry.array)? {
            1 => Content::Labels,
            _ => Content::Images,
        });
    }
    Ok(())
}
