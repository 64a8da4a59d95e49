//! Where images come from: files, standard input, MNIST, the synthetic digits, folders of IDX files.

use digits_cli::Error;
use digits_dataset::{
    Dataset, LabelledImages, folder,
    mnist::{self, MnistSource},
    synthetic,
};
use std::{io::Read as _, path::Path};

/// Largest picture that is read, in bytes: above what the service takes.
const MAX_PICTURE: u64 = 64 << 20;
/// The synthetic set as a job has it that names no sizes.
const SYNTHETIC: synthetic::Options = synthetic::Options {
    train: 60_000,
    test: 10_000,
    seed: 0,
};

/// An image to predict.
#[derive(Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// An encoded picture: a path, or `-`.
    Encoded(&'a str),
    /// One image of a labelled set.
    Labelled { set: &'a str, index: usize },
}

/// Which image a word on the command line means.
pub fn parse(text: &str) -> Result<Source<'_>, Error> {
    if !["mnist:", "synthetic:"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
    {
        return Ok(Source::Encoded(text));
    }
    let parts = text
        .split_once('/')
        .and_then(|(set, index)| Some((set, index.parse().ok()?)));
    let (set, index) = parts.ok_or_else(|| {
        Error::Usage(format!(
            "{text:?} names no image: write it like mnist:test/0"
        ))
    })?;
    Ok(Source::Labelled { set, index })
}

/// Reads an encoded picture.
pub fn read_picture(path: &str) -> Result<Vec<u8>, Error> {
    let fail = |reason: String| Error::Input {
        what: path.to_owned(),
        reason,
    };
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

/// Loads a labelled set off the runtime's threads.
pub async fn load(name: &str) -> Result<Labelled, Error> {
    let owned = name.to_owned();
    let loaded = tokio::task::spawn_blocking(move || load_blocking(&owned)).await;
    loaded.unwrap_or_else(|error| {
        Err(Error::Input {
            what: name.to_owned(),
            reason: error.to_string(),
        })
    })
}

fn load_blocking(name: &str) -> Result<Labelled, Error> {
    let fail = |reason: String| Error::Input {
        what: name.to_owned(),
        reason,
    };
    let (base, part) = match name.rsplit_once(':') {
        Some((base, part @ ("train" | "test"))) => (base, part),
        _ => (name, "test"),
    };
    let dataset: Dataset = match base {
        mnist::NAME => load_mnist().map_err(|error| fail(error.to_string()))?,
        synthetic::NAME => synthetic::generate(&SYNTHETIC),
        dir if Path::new(dir).is_dir() => {
            folder::load("folder", Path::new(dir)).map_err(|error| fail(error.to_string()))?
        }
        _ => {
            let forms =
                "mnist:test, mnist:train, synthetic:test, or an existing folder of IDX files";
            return Err(Error::Usage(format!(
                "there is no set {name:?}: name {forms}"
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

/// MNIST from `DIGITS_MNIST_DIR` or the cache, else downloaded with a note on standard error.
fn load_mnist() -> Result<Dataset, digits_dataset::DatasetError> {
    let mut file = String::new();
    mnist::load(&MnistSource::default(), &mut |progress| {
        if progress.file != file {
            file = progress.file.to_owned();
            eprintln!("downloading {} from {}", progress.file, progress.mirror);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        for (text, expected) in [
            ("a.png", Source::Encoded("a.png")),
            ("-", Source::Encoded("-")),
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
    fn missing_files_are_named() {
        let error = read_picture("/nonexistent/7.png").expect_err("missing");
        assert!(
            error.to_string().starts_with("/nonexistent/7.png: "),
            "{error}"
        );
        assert_eq!(error.exit_code(), 66);
    }
}
