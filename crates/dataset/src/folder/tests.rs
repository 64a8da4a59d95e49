use super::*;
use crate::Images;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

mod distributions;

/// A folder with a data set of 3×5 images and labels 0 and 256, and the data set's name.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let images = |count: usize| Images {
        count,
        height: 3,
        width: 5,
        pixels: vec![9; count * 15].into(),
    };
    let file = |name| -> PathBuf { folder.path().join(name) };
    idx::write_images(&file(TRAIN_IMAGES), &images(2)).expect("written");
    idx::write_labels(&file(TRAIN_LABELS), &[0, 256]).expect("written");
    idx::write_images(&file(TEST_IMAGES), &images(1)).expect("written");
    idx::write_labels(&file(TEST_LABELS), &[1]).expect("written");
    folder
}

fn write(folder: &TempDir, name: &str, content: &[u8]) {
    fs::write(folder.path().join(name), content).expect("written");
}

#[test]
fn images_of_any_size_and_many_labels_are_loaded() {
    let folder = folder();
    let dataset = load("shapes", folder.path()).expect("a data set");
    assert_eq!(dataset.name, "shapes");
    assert_eq!(
        (dataset.height(), dataset.width(), dataset.classes()),
        (3, 5, 257)
    );
    assert_eq!(dataset.label_names[256], "256");
    assert_eq!(dataset.train.labels, [0, 256]);
    assert_eq!(dataset.digest, dataset.content_digest());

    // Another element type of the labels does not change the content.
    let wide = [&[0, 0, 0x0c, 1, 0, 0, 0, 2][..], &[0, 0, 0, 0, 0, 0, 1, 0]].concat();
    write(&folder, TRAIN_LABELS, &wide);
    assert_eq!(load("shapes", folder.path()).expect("a data set"), dataset);
}

#[test]
fn labels_take_their_names_from_the_file() {
    let folder = folder();
    idx::write_labels(&folder.path().join(TRAIN_LABELS), &[0, 1]).expect("written");
    write(
        &folder,
        LABELS_FILE,
        "\u{feff}a cat\r\n  größer \nnever seen\n\n\n".as_bytes(),
    );
    let dataset = load("pets", folder.path()).expect("a data set");
    assert_eq!(dataset.label_names, ["a cat", "größer", "never seen"]);
}

#[test]
fn errors_name_the_file_and_the_fault() {
    type Damage = fn(&TempDir);
    let cases: [(Damage, &str); 8] = [
        (
            |f| fs::remove_file(f.path().join(TEST_LABELS)).expect("removed"),
            "no t10k-labels-idx1-ubyte (nor ",
        ),
        (
            |f| write(f, TRAIN_LABELS, &[0, 0, 8, 1, 0, 0, 0, 2, 1]),
            "train-labels-idx1-ubyte: truncated",
        ),
        (
            |f| write(f, TRAIN_LABELS, &[0, 0, 8, 1, 0, 0, 0, 1, 1]),
            "2 training images but 1 labels",
        ),
        (
            |f| write(f, LABELS_FILE, b"one\ntwo"),
            "has label 256 but there are 2 labels",
        ),
        (
            |f| write(f, LABELS_FILE, b"one\n\nthree"),
            "the name of label 1 is \"\"",
        ),
        (
            |f| write(f, LABELS_FILE, b"\xff\xfe"),
            "labels.txt: it is not UTF-8",
        ),
        (
            |f| write(f, LABELS_FILE, "x\n".repeat(1_001).as_bytes()),
            "labels.txt: it has 1001 lines",
        ),
        (
            |f| write(f, LABELS_FILE, &vec![b'x'; 300 << 10]),
            "labels.txt: it has more than 262144 bytes",
        ),
    ];
    for (damage, reason) in cases {
        let folder = folder();
        damage(&folder);
        let error = load("shapes", folder.path()).expect_err(reason).to_string();
        assert!(error.contains(reason), "{reason:?} is not in {error:?}");
    }
    assert!(load("shapes", Path::new("/nowhere/at/all")).is_err());
}
