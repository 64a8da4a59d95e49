//! The binary `digits` pushes folders as other programs make them.

use digits_dataset::{Images, idx};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/folder-per-class");

fn run(storage: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_digits"))
        .args(arguments)
        .env("DIGITS_STORAGE", storage)
        .env("LC_ALL", "C")
        .output()
        .expect("the binary starts")
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Pushes a folder; the JSON document and what is on standard error.
fn push(storage: &Path, folder: &str, flags: &[&str]) -> (Value, String) {
    let arguments = ["dataset", "push", folder, "--name", "mine", "--json"];
    let output = run(storage, &[&arguments, flags].concat());
    assert_eq!(
        output.status.code(),
        Some(0),
        "{flags:?}: {}",
        error(&output)
    );
    let document = serde_json::from_slice(&output.stdout).expect("JSON");
    (document, error(&output))
}

/// A data set of wide, light bars with labels from 1, of which none is 3, as EMNIST's files.
fn bars(folder: &Path) {
    for part in ["train", "test"] {
        let labels: Vec<u16> = (0..40).map(|index| [1, 2, 4][index % 3]).collect();
        let pixels = labels.iter().flat_map(|label| {
            (0..64).map(move |place| {
                match place / 8 == usize::from(*label) && place % 8 > 0 && place % 8 < 7 {
                    true => 255,
                    false => 0,
                }
            })
        });
        let images = Images {
            count: labels.len(),
            height: 8,
            width: 8,
            pixels: pixels.collect(),
        };
        let file = |content: &str| folder.join(format!("emnist-letters-{part}-{content}-ubyte"));
        idx::write_images(&file("images-idx3"), &images).expect("written");
        idx::write_labels(&file("labels-idx1"), &labels).expect("written");
    }
}

#[test]
fn a_folder_of_pictures_is_pushed_and_its_changes_are_listed() {
    let dir = tempfile::tempdir().expect("a folder");
    let storage = dir.path().join("storage");
    let (document, shown) = push(&storage, PICTURES, &["--handwriting"]);
    assert_eq!(document["manifest"]["train"]["count"], 20);
    assert_eq!(document["manifest"]["test"]["count"], 10);
    assert_eq!(document["manifest"]["labels"][9], "9");
    let notes = document["notes"].as_array().expect("notes");
    assert_eq!(notes.len(), shown.lines().count(), "{shown}");
    let kept = "there is no test part: 10 of the 30 images are kept for the test, the same share of each label, \
                drawn with seed 0; --test-fraction sets the share";
    assert_eq!(notes[0], kept);
    assert!(
        notes[1]
            .as_str()
            .is_some_and(|it| it.contains("fewer than 10 training images")),
        "{shown}"
    );
    // The same with a share.
    let (document, _) = push(&storage, PICTURES, &["--test-fraction", "0.6"]);
    assert_eq!(document["manifest"]["test"]["count"], 20);
    let (document, _) = push(&storage, PICTURES, &["--size", "14x14", "--invert"]);
    assert_eq!(document["manifest"]["height"], 14);
}

#[test]
fn emnists_files_are_turned_and_counted_from_1_and_the_flags_decide() {
    let dir = tempfile::tempdir().expect("a folder");
    let (storage, data) = (dir.path().join("storage"), dir.path().join("data"));
    fs::create_dir(&data).expect("a folder");
    bars(&data);
    let data = data.display().to_string();
    let (document, shown) = push(&storage, &data, &[]);
    for part in [
        "the images were transposed: EMNIST's files have rows and columns exchanged; --transpose=no leaves them",
        "the labels of the files count from 1: 1 became the first label; --labels-from 0 keeps",
        "warning: there is no training image of label \"3\"; add images",
    ] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    assert_eq!(
        document["manifest"]["labels"],
        serde_json::json!(["1", "2", "3", "4"])
    );
    let asked = ["--transpose", "--labels-from", "1"];
    assert_eq!(
        push(&storage, &data, &asked).0["digest"],
        document["digest"]
    );
    let plain = ["--transpose=no", "--labels-from", "0"];
    assert_eq!(
        push(&storage, &data, &plain).0["manifest"]["labels"][0],
        "0"
    );

    // One of the sets in a folder, by the beginning of its files' names.
    let (named, _) = push(&storage, &format!("{data}/emnist-letters"), &[]);
    assert_eq!(named["digest"], document["digest"]);
}

#[test]
fn a_set_is_pushed_again_with_the_right_handwriting() {
    let dir = tempfile::tempdir().expect("a folder");
    let storage = dir.path().join("storage");
    let (first, _) = push(&storage, PICTURES, &[]);
    let (second, _) = push(&storage, PICTURES, &["--handwriting"]);
    assert_eq!(first["digest"], second["digest"]);
    assert_eq!(first["manifest"]["picture_normalization"], "none");
    assert_eq!(second["manifest"]["picture_normalization"], "mnist");
    let output = run(&storage, &["dataset", "show", "mine", "--json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["handwriting"], true);
}

#[test]
fn folders_without_a_data_set_are_refused_with_the_remedy() {
    let dir = tempfile::tempdir().expect("a folder");
    let storage = dir.path().join("storage");
    let data = dir.path().join("data");
    let raw = data.join("EMNIST/raw");
    fs::create_dir_all(&raw).expect("folders");
    let nothing = data.join("EMNIST").display().to_string();
    let refused = |folder: &str, flags: &[&str], code, part: &str| {
        let arguments = [&["dataset", "push", folder, "--name", "mine"], flags].concat();
        let output = run(&storage, &arguments);
        let text = error(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(part), "{part:?} in {text}");
    };
    refused(&nothing, &[], 66, "has neither IDX files");
    bars(&raw);
    let found = format!("the data set is in {}: give that folder", raw.display());
    refused(&data.display().to_string(), &[], 66, &found);
    refused(
        &data.join("slip").display().to_string(),
        &[],
        66,
        "there is no such folder",
    );
    let file = raw
        .join("emnist-letters-train-images-idx3-ubyte")
        .display()
        .to_string();
    refused(&file, &[], 66, "is a file: give the folder");
    refused("mnist", &["--transpose"], 64, "is built in");
    refused(
        &raw.display().to_string(),
        &["--size", "8x8"],
        66,
        "leave --size away",
    );
    refused(
        PICTURES,
        &["--size", "28"],
        64,
        "takes a height and a width",
    );
    refused(
        PICTURES,
        &["--test-fraction", "1"],
        64,
        "takes a number between 0 and 1",
    );
    refused(
        PICTURES,
        &["--labels-from", "1"],
        66,
        "leave --labels-from away",
    );
}
