//! Reads images from files, standard input, data sets of this machine and data sets that were pushed
//! to the storage.

use crate::{args::ReadFolder, data_source, did_you_mean::similar};
use digits_checkpoint::Storage;
use digits_cli::Error;
use digits_dataset::{
    Dataset, LabelledImages,
    mnist::{self, MnistSource},
    pushed::{self, Cache, Listed, PushedError, Reference},
    synthetic,
};
use indicatif::ProgressBar;
use std::{io::Read as _, path::Path};

/// Largest picture that is read, in bytes: more than the service accepts.
const MAX_PICTURE: u64 = 64 << 20;
/// Extensions of the files that are classified in a folder.
const PICTURES: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];
/// Bytes of pushed data sets that stay in the cache folder.
const CACHE_BYTES: u64 = 4 << 30;
/// An image to predict.
#[derive(Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// An encoded picture: a path, or `-`.
    Encoded(&'a str),
    /// One image of a labelled set.
    Labelled { set: &'a str, index: usize },
}

/// The image that an argument names.
pub fn parse(text: &str) -> Result<Source<'_>, Error> {
    let built_in = ["mnist:", "synthetic:"]
        .iter()
        .any(|prefix| text.starts_with(prefix));
    let parts = text
        .rsplit_once('/')
        .and_then(|(set, index)| Some((set, index.parse().ok()?)));
    let of_a_part = |set: &str| set.ends_with(":train") || set.ends_with(":test");
    match parts {
        Some((set, index)) if !built_in && of_a_part(set) && !Path::new(text).exists() => {
            return Ok(Source::Labelled { set, index });
        }
        _ if !built_in => return Ok(Source::Encoded(text)),
        _ => {}
    }
    let (set, index) = parts.ok_or_else(|| {
        Error::Usage(format!(
            "{text:?} names no image: write it like mnist:test/0"
        ))
    })?;
    Ok(Source::Labelled { set, index })
}

/// The arguments, with each folder replaced by the picture files in it, by name; or the argument
/// with the reason why it cannot be.
pub fn expand(arguments: &[String]) -> Vec<Result<String, (String, Error)>> {
    let expanded = arguments.iter().flat_map(|text| {
        if !Path::new(text).is_dir() {
            return vec![Ok(text.clone())];
        }
        match pictures_in(text) {
            Ok(pictures) => pictures.into_iter().map(Ok).collect(),
            Err(error) => vec![Err((text.clone(), error))],
        }
    });
    expanded.collect()
}

fn pictures_in(folder: &str) -> Result<Vec<String>, Error> {
    let fail = |error: std::io::Error| Error::input(folder, error);
    let mut pictures = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let extension = extension.to_ascii_lowercase();
        if PICTURES.contains(&extension.as_str()) && path.is_file() {
            pictures.push(path.display().to_string());
        }
    }
    pictures.sort();
    if pictures.is_empty() {
        let reason = "is a folder without a PNG, JPEG, WebP, BMP or GIF picture";
        return Err(Error::input(folder, reason));
    }
    Ok(pictures)
}

/// Reads an encoded picture.
pub fn read_picture(path: &str) -> Result<Vec<u8>, Error> {
    let fail = |reason: String| Error::input(path, reason);
    let mut bytes = Vec::new();
    let count = if path == "-" {
        std::io::stdin()
            .lock()
            .take(MAX_PICTURE + 1)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_PICTURE + 1).read_to_end(&mut bytes))
    };
    match count {
        Err(error) => Err(fail(error.to_string())),
        Ok(0) => Err(fail(
            "is empty: give a PNG, JPEG, WebP, BMP or GIF picture".to_owned(),
        )),
        Ok(count) if count as u64 > MAX_PICTURE => Err(fail(format!(
            "is larger than {} MiB: make it smaller",
            MAX_PICTURE >> 20
        ))),
        Ok(_) => Ok(bytes),
    }
}

/// A labelled set and the names of its labels.
pub struct Labelled {
    /// Images and labels.
    pub set: LabelledImages,
    /// Names, by index.
    pub names: Vec<String>,
}

/// Loads a labelled set off the runtime's threads; pushed ones from `storage`.
pub async fn load(name: &str, storage: Option<&str>) -> Result<Labelled, Error> {
    let (base, part) = match name.rsplit_once(':') {
        Some((base, part @ ("train" | "test"))) => (base, part),
        _ => (name, "test"),
    };
    let here = [mnist::NAME, synthetic::NAME].contains(&base) || Path::new(base).exists();
    let dataset = match (here, base.parse::<Reference>(), storage) {
        (true, ..) => {
            let loaded =
                data_source::load(base, &ReadFolder::default(), false, ProgressBar::hidden())
                    .await?;
            for note in loaded.notes {
                eprintln!("warning: {note}");
            }
            loaded.dataset
        }
        (false, Ok(reference), Some(url)) => load_pushed(url, &reference).await?.0,
        (false, Ok(_), None) => {
            if let Some(known) = similar(base, [mnist::NAME, synthetic::NAME]) {
                return Err(Error::Usage(format!(
                    "there is no set {base:?} here; did you mean {known:?}?"
                )));
            }
            return Err(Error::Usage(format!(
                "{base:?} is neither mnist nor synthetic nor a folder or file here: if it was pushed, name its storage with --storage URL \
                 or DIGITS_STORAGE"
            )));
        }
        (false, Err(_), _) => {
            return Err(Error::Usage(format!(
                "there is no set {name:?}: name mnist:test, mnist:train, synthetic:test, an existing folder or file, \
                 or a pushed data set"
            )));
        }
    };
    let set = if part == "train" {
        dataset.train
    } else {
        dataset.test
    };
    Ok(Labelled {
        set,
        names: dataset.label_names,
    })
}

/// A pushed data set of a storage, with its record and manifest.
pub async fn load_pushed(url: &str, reference: &Reference) -> Result<(Dataset, Listed), Error> {
    let storage = Storage::open_existing(url)?;
    let pinned = pushed::resolve(&storage, reference).await;
    if let Err(PushedError::Unknown { .. }) = &pinned {
        let names = pushed::names(&storage).await?;
        let names = names.iter().map(|it| it.as_str());
        let name = reference.name.as_str();
        if let Some(known) = similar(name, names.filter(|it| *it != name)) {
            return Err(Error::Negative(format!(
                "no data set {reference} was pushed; did you mean {known:?}?"
            )));
        }
    }
    let pinned = pinned?;
    let listed = pushed::list_of(&storage, &pinned.name)
        .await?
        .into_iter()
        .find(|it| it.record.digest == pinned.digest)
        .ok_or_else(|| PushedError::Unknown {
            reference: reference.to_string(),
        })?;
    // The folder next to the cache of MNIST.
    let folder = MnistSource::default().cache.with_file_name("datasets");
    let cache = Cache::new(folder, CACHE_BYTES);
    let dataset = cache.load(&storage, pinned.name.as_str(), &listed.manifest);
    Ok((dataset.await?, listed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_files_or_images_of_sets() {
        for (text, expected) in [
            ("a.png", Source::Encoded("a.png")),
            ("-", Source::Encoded("-")),
            ("pictures/7", Source::Encoded("pictures/7")),
            (
                "letters@01234567:train/3",
                Source::Labelled {
                    set: "letters@01234567:train",
                    index: 3,
                },
            ),
            (
                "mnist:test/0",
                Source::Labelled {
                    set: "mnist:test",
                    index: 0,
                },
            ),
            (
                "synthetic:train/12",
                Source::Labelled {
                    set: "synthetic:train",
                    index: 12,
                },
            ),
        ] {
            assert_eq!(parse(text).expect(text), expected);
        }
        for bad in ["mnist:test", "mnist:test/x", "mnist:test/-1"] {
            assert_eq!(parse(bad).expect_err(bad).exit_code(), 64);
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_picture("/nonexistent/7.png").expect_err("missing");
        assert!(
            error.to_string().starts_with("/nonexistent/7.png: "),
            "{error}"
        );
        assert_eq!(error.exit_code(), 66);
    }
}
