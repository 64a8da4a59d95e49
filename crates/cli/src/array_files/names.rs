//! Reads from the name of a file or an array which part of a data set it has, and whether images or
//! labels: `mnist_train.csv`, `x_test`, `kmnist-train-labels.npz`, `train-00000-of-00001.parquet`.

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Train,
    Validation,
    Test,
}

/// What an array has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Images,
    Labels,
}

/// What a name says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// The words in front, which are the same for all files of a data set: `emnist-letters`.
    pub(super) prefix: String,
    pub(super) part: Option<Part>,
    pub(super) content: Option<Content>,
}

const EXTENSIONS: [&str; 9] = [
    "csv", "tsv", "txt", "data", "gz", "npy", "npz", "parquet", "pq",
];

/// Reads a name, without the folders before it.
pub(super) fn parse(name: &str) -> Name {
    let name = name.to_ascii_lowercase();
    let mut stem = name.as_str();
    while let Some((before, extension)) = stem.rsplit_once('.')
        && EXTENSIONS.contains(&extension)
    {
        stem = before;
    }
    let mut parsed = Name::default();
    let mut prefix = Vec::new();
    for word in stem.split(['-', '_', '.', ' ']) {
        if let Some(part) = part(word) {
            parsed.part.get_or_insert(part);
        } else if let Some(content) = content(word) {
            parsed.content.get_or_insert(content);
        } else if parsed == Name::default() {
            prefix.push(word);
        }
    }
    parsed.prefix = prefix.join("-");
    parsed
}

fn part(word: &str) -> Option<Part> {
    Some(match word {
        "train" | "training" | "tra" => Part::Train,
        "val" | "valid" | "validation" | "dev" => Part::Validation,
        "test" | "testing" | "t10k" | "tes" => Part::Test,
        _ => return None,
    })
}

fn content(word: &str) -> Option<Content> {
    Some(match word {
        "x" | "image" | "images" | "img" | "imgs" | "features" | "pixels" | "data" => {
            Content::Images
        }
        "y" | "label" | "labels" | "target" | "targets" | "class" | "classes" => Content::Labels,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_distributions_are_known() {
        use {Content::*, Part::*};
        for (name, prefix, part, content) in [
            ("train.csv", "", Some(Train), None),
            ("mnist_test.csv.gz", "mnist", Some(Test), None),
            (
                "emnist-letters-train.csv",
                "emnist-letters",
                Some(Train),
                None,
            ),
            ("A_Z Handwritten.csv", "a-z-handwritten", None, None),
            ("optdigits.tra", "optdigits", Some(Train), None),
            ("x_train", "", Some(Train), Some(Images)),
            ("y_test.npy", "", Some(Test), Some(Labels)),
            ("train_images.npy", "", Some(Train), Some(Images)),
            ("kmnist-train-imgs.npz", "kmnist", Some(Train), Some(Images)),
            ("kmnist-test-labels.npz", "kmnist", Some(Test), Some(Labels)),
            ("X.npy", "", None, Some(Images)),
            ("target", "", None, Some(Labels)),
            ("arr_0", "arr-0", None, None),
            ("val_labels", "", Some(Validation), Some(Labels)),
            ("train-00000-of-00002.parquet", "", Some(Train), None),
            ("mnist.npz", "mnist", None, None),
        ] {
            let prefix = prefix.to_owned();
            let expected = Name {
                prefix,
                part,
                content,
            };
            assert_eq!(parse(name), expected, "{name}");
        }
    }
}
