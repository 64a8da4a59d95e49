//! The files in `tests/cases/arrays`, which the libraries that people use have made of the same
//! digits; `make.py` beside them says how.

use super::*;
use crate::{
    Error,
    image_set::{ImageSet, Size},
};
use digits_dataset::{Dataset, Finding, Handling, LabelledImages, Polarity};
use indicatif::ProgressBar;
use std::{
    fs,
    path::{Path, PathBuf},
};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

fn case(name: &str) -> PathBuf {
    Path::new(CASES).join("arrays").join(name)
}

fn read_with(path: &Path, handling: &Handling, options: &Options) -> Result<ImageSet, Error> {
    let set = at(path)?.expect("a data set");
    read(set, handling, options, &ProgressBar::hidden())
}

fn read_all(path: &Path) -> ImageSet {
    read_with(path, &Handling::default(), &Options::default()).expect("a data set")
}

fn error_of(path: &Path, options: &Options) -> String {
    let read = read_with(path, &Handling::default(), options);
    read.err().expect("an error").to_string()
}

/// The digits that the files were made of: the last of each label is for the test.
fn expected() -> Dataset {
    let picture = |label: usize, name: &str| {
        let path = Path::new(CASES).join(format!("folder-per-class/{label}/{name}"));
        image::open(path).expect("a picture").to_luma8().into_raw()
    };
    let mut parts = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for label in 0..10 {
        let dir = Path::new(CASES).join(format!("folder-per-class/{label}"));
        let mut names: Vec<(u32, String)> = fs::read_dir(dir)
            .expect("a folder")
            .map(|entry| {
                entry
                    .expect("a file")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .map(|name| {
                (
                    name.trim_end_matches(".png").parse().expect("a number"),
                    name,
                )
            })
            .collect();
        names.sort();
        for (index, (_, name)) in names.iter().enumerate() {
            let (pixels, labels) = &mut parts[usize::from(index + 1 == names.len())];
            pixels.extend(picture(label, name));
            labels.push(label as u16);
        }
    }
    let [train, test] = parts.map(|(pixels, labels)| LabelledImages {
        images: digits_dataset::Images {
            count: labels.len(),
            height: 28,
            width: 28,
            pixels: pixels.into(),
        },
        labels,
    });
    Dataset::new("expected", train, test, digits_dataset::numbered_names(10)).expect("it fits")
}

#[test]
fn all_formats_give_the_same_data_set() {
    let expected = expected().digest;
    for (name, notes) in [
        ("kaggle", &[][..]),
        (
            "openml",
            &["the column \"\", which numbers the lines, was left out"; 2][..],
        ),
        ("plain", &[]),
        ("mnist.npz", &[]),
        ("kmnist", &[]),
        ("pairs", &["pixels from 0 to 1 were converted to 0 to 255"]),
        ("hub", &[]),
    ] {
        let set = read_all(&case(name));
        assert_eq!(set.assembled.dataset.digest, expected, "{name}");
        assert_eq!(set.notes.len(), notes.len(), "{name}: {:?}", set.notes);
        for (note, part) in set.notes.iter().zip(notes) {
            assert!(note.contains(part), "{name}: {note}");
        }
        let findings = set.assembled.findings;
        let few = matches!(&findings[..], [Finding::FewImages { .. }]);
        assert!(few, "{name}: {findings:?}");
    }
}

#[test]
fn without_a_test_part_a_share_of_each_label_is_kept() {
    let kept = Finding::HeldOut { test: 10, of: 20 };
    for (name, notes) in [
        ("deep.npz", "pixels from 0 to 65535 were converted"),
        ("colour.npz", "20 pictures in colour were converted to grey"),
        ("words.parquet", ""),
        ("kaggle/train.csv.gz", ""),
        ("unlabelled", "test.csv.gz has no labels, and was left out"),
    ] {
        let set = read_all(&case(name));
        let dataset = &set.assembled.dataset;
        assert_eq!(dataset.test.class_counts(10), [1; 10], "{name}");
        assert_eq!(set.assembled.findings[0], kept, "{name}");
        assert!(
            set.notes.concat().contains(notes),
            "{name}: {:?}",
            set.notes
        );
        assert_eq!(read_all(&case(name)).assembled.dataset, *dataset, "{name}");
        let words = name == "colour.npz" || name == "words.parquet";
        let first = if words { "eight" } else { "0" };
        assert_eq!(dataset.label_names[0], first, "{name}");
    }
    let digits = [
        read_all(&case("digits8x8.csv")),
        read_all(&case("digits8x8.npz")),
    ];
    for set in &digits {
        assert_eq!(set.assembled.dataset.height(), 8);
        assert_eq!(set.assembled.dataset.train.labels.len(), 240);
        assert!(
            set.notes[0].starts_with("pixels from 0 to 16"),
            "{:?}",
            set.notes
        );
    }
    let [csv, arrays] = digits.map(|set| set.assembled.dataset.digest);
    assert_eq!(csv, arrays);
}

#[test]
fn flags_decide_about_columns_levels_and_sizes() {
    let size = Size {
        height: 14,
        width: 7,
    };
    let options = Options {
        size: Some(size),
        ..Options::default()
    };
    let handling = Handling {
        polarity: Polarity::Inverted,
        ..Handling::default()
    };
    let set = read_with(&case("hub"), &handling, &options).expect("a data set");
    assert_eq!(
        (
            set.assembled.dataset.height(),
            set.assembled.dataset.width()
        ),
        (14, 7)
    );
    assert_eq!(
        set.notes,
        ["30 pictures of another size were scaled to 14x7"]
    );
    assert_eq!(set.assembled.dataset.train.images.pixels[0], 255);

    // Rows of 64 pixels are 4x16 if that is asked for.
    let size = Size {
        height: 4,
        width: 16,
    };
    let options = Options {
        size: Some(size),
        label_column: Some("last".to_owned()),
        white: Some(255.0),
    };
    let set = read_with(&case("digits8x8.csv"), &Handling::default(), &options);
    let set = set.expect("a data set");
    assert_eq!(set.assembled.dataset.height(), 4);
    let brightest = set.assembled.dataset.train.images.pixels.iter().max();
    assert_eq!((brightest, set.notes.len()), (Some(&16), 0));
    let options = Options {
        white: Some(8.0),
        ..Options::default()
    };
    let error = error_of(&case("digits8x8.csv"), &options);
    assert!(error.contains("csv line 1: the pixel"), "{error}");
    let options = Options {
        label_column: Some("labels".to_owned()),
        ..Options::default()
    };
    for name in ["kaggle", "hub"] {
        let error = error_of(&case(name), &options);
        assert!(error.contains("has no column \"labels\""), "{error}");
    }
}

#[test]
fn damaged_files_are_named_with_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = |lines: &[&str]| {
        let path = folder.path().join("a.csv");
        fs::write(&path, lines.join("\n")).expect("written");
        error_of(&path, &Options::default())
    };
    let good = ["label,a,b,c,d", "0,0,255,0,0", "1,0,0,255,0"];
    for (line, part) in [
        (
            "1,0,0,9",
            "line 4 has 4 cells, and the lines before it have 5",
        ),
        (
            "1,0,x,9,9",
            "line 4: column 3 is \"x\" where pixels have a number",
        ),
        ("1,0,,9,9", "line 4: column 3 is \"\" where"),
        ("1,0,-1,9,9", "line 4: the pixel -1 is not from 0 to 255"),
        (",0,0,9,9", "line 4: has no label"),
        ("-1,0,0,9,9", "the label -1 is below 0"),
        ("1000,0,0,9,9", "the label 1000 is above 999"),
    ] {
        let error = lines(&[&good[..], &[line]].concat());
        assert!(error.contains(part), "{error}");
    }
    assert!(lines(&["label,a,b,c,d,e", "0,0,0,9,9,9", "1,0,0,9,9,9"]).contains("make no square"));
    assert!(
        lines(&["a,b,c,d,e", "0.5,0,0,9,9", "2,0,0,9,9"])
            .contains("neither of the first and the last")
    );

    let cut = |name: &str, target: &str| {
        let whole = fs::read(case(name)).expect("a case");
        let path = folder.path().join(target);
        fs::write(&path, &whole[..whole.len() - 9]).expect("written");
    };
    for name in ["x_train.npy", "y_train.npy"] {
        let other = if name == "x_train.npy" {
            "y_train.npy"
        } else {
            "x_train.npy"
        };
        let pair = tempfile::tempdir_in(folder.path()).expect("a folder");
        let inside = pair.path().strip_prefix(folder.path()).expect("inside");
        cut(
            &format!("pairs/{name}"),
            inside.join(name).to_str().expect("UTF-8"),
        );
        fs::copy(case("pairs").join(other), pair.path().join(other)).expect("copied");
        let error = error_of(pair.path(), &Options::default());
        assert!(error.contains(&format!("{name}: is cut off")), "{error}");
    }
    cut("words.parquet", "words.parquet");
    let error = error_of(&folder.path().join("words.parquet"), &Options::default());
    assert!(error.contains("words.parquet: "), "{error}");
    cut("kaggle/train.csv.gz", "train.csv.gz");
    let error = error_of(&folder.path().join("train.csv.gz"), &Options::default());
    assert!(error.contains("train.csv.gz: "), "{error}");
}

#[test]
fn of_several_data_sets_one_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = |from: &str, to: &str| {
        fs::copy(case(from), folder.path().join(to)).expect("copied");
    };
    copy("kaggle/train.csv.gz", "emnist-digits-train.csv.gz");
    copy("kaggle/test.csv.gz", "emnist-digits-test.csv.gz");
    copy("kaggle/train.csv.gz", "emnist-mnist-train.csv.gz");
    fs::write(folder.path().join("notes.txt"), "not a table, nor pixels").expect("written");
    let error = at(folder.path()).expect_err("an error").to_string();
    let named = folder.path().join("emnist-digits");
    assert!(
        error.contains(&format!("name one of them, as {}", named.display())),
        "{error}"
    );
    let set = read_all(&named);
    assert_eq!(set.assembled.dataset.digest, expected().digest);
    assert!(set.assembled.findings.contains(&Finding::NotTransposed));

    copy("mnist.npz", "emnist-digits.npz");
    let error = at(&named).expect_err("an error").to_string();
    assert!(
        error.contains("in several formats: give the path of one file"),
        "{error}"
    );
    assert!(at(&folder.path().join("nothing")).expect("read").is_none());
    let alone = tempfile::tempdir().expect("a folder");
    fs::copy(case("pairs/x_train.npy"), alone.path().join("x_train.npy")).expect("copied");
    let error = at(alone.path()).expect_err("an error").to_string();
    assert!(
        error.contains("x_train.npy: has no labels beside it"),
        "{error}"
    );
}
