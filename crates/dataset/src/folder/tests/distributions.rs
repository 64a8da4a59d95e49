//! Folders as Kaggle, EMNIST and QMNIST distribute them: other names of the files, transposed
//! images, labels from 1.

use super::*;
use crate::{Finding, Orientation, PixelStore, Polarity};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

/// The digits of the cases, 60 for training and 30 for the test.
fn digits() -> Dataset {
    load("digits", Path::new(CASES)).expect("the cases")
}

/// Copies the cases' files under other names: train and test images and labels.
fn folder_with(names: [&str; 4]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS];
    for (file, name) in files.into_iter().zip(names) {
        let target = folder.path().join(name);
        fs::create_dir_all(target.parent().expect("a folder")).expect("created");
        let content = fs::read(Path::new(CASES).join(format!("{file}.gz"))).expect("a case");
        fs::write(target, content).expect("written");
    }
    folder
}

/// EMNIST's letters: the digits transposed, with labels from 1.
fn emnist(prefix: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let digits = digits();
    for (part, data) in [("train", &digits.train), ("test", &digits.test)] {
        let file = |content: &str| folder.path().join(format!("{prefix}-{part}-{content}"));
        let labels: Vec<u16> = data.labels.iter().map(|label| label + 1).collect();
        idx::write_images(
            &file("images-idx3-ubyte"),
            &data
                .images
                .transposed(PixelStore::Memory)
                .expect("transposed"),
        )
        .expect("written");
        idx::write_labels(&file("labels-idx1-ubyte"), &labels).expect("written");
    }
    folder
}

fn read_folder(folder: &TempDir, handling: &Handling) -> (Dataset, Vec<Finding>) {
    let read = read("digits", folder.path(), handling).expect("a data set");
    // The cases have six digits of each kind.
    let mut findings = read.findings;
    findings.retain(|it| !matches!(it, Finding::FewImages { .. } | Finding::NoImages { .. }));
    (read.dataset, findings)
}

#[test]
fn files_are_found_under_the_names_of_all_distributions() {
    let expected = digits();
    for names in [
        // Kaggle, in both forms of its archive.
        [
            "train-images.idx3-ubyte",
            "train-labels.idx1-ubyte",
            "t10k-images.idx3-ubyte",
            "t10k-labels.idx1-ubyte",
        ],
        [
            "train-images-idx3-ubyte/train-images-idx3-ubyte",
            "train-labels-idx1-ubyte/train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte/t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte/t10k-labels-idx1-ubyte",
        ],
        [
            "qmnist-train-images-idx3-ubyte.gz",
            "qmnist-train-labels-idx2-int.gz",
            "qmnist-test-images-idx3-ubyte.gz",
            "qmnist-test-labels-idx2-int.gz",
        ],
        [
            "Train-Images.idx3-ubyte.gz",
            "Train-Labels.idx1-ubyte.gz",
            "T10k-Images.idx3-ubyte.gz",
            "T10k-Labels.idx1-ubyte.gz",
        ],
    ] {
        let folder = folder_with(names);
        // Metadata of macOS.
        write(
            &folder,
            &format!("._{}", names[0].replace('/', "-")),
            b"Mac OS X",
        );
        let (dataset, findings) = read_folder(&folder, &Handling::default());
        assert_eq!((dataset, findings), (expected.clone(), vec![]), "{names:?}");
    }
}

#[test]
fn of_several_data_sets_in_a_folder_one_is_named() {
    let folder = emnist("emnist-letters");
    let other = emnist("emnist-digits");
    for entry in fs::read_dir(other.path()).expect("a folder").flatten() {
        fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copied");
    }
    let error = load("x", folder.path()).expect_err("two").to_string();
    let one = folder.path().join("emnist-digits");
    let expected = format!(
        "emnist-digits, emnist-letters: name one of them, as {}",
        one.display()
    );
    assert!(error.contains(&expected), "{error}");
    let named = load("x", &one).expect("one of them");
    assert_eq!(
        named.train,
        load("x", other.path()).expect("the same").train
    );
    // A set with MNIST's own names is what the folder has always meant.
    let mnist = folder_with([TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS]);
    for entry in fs::read_dir(mnist.path()).expect("a folder").flatten() {
        fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copied");
    }
    assert_eq!(load("digits", folder.path()).expect("MNIST's"), digits());
}

#[test]
fn emnists_letters_are_upright_and_count_from_1() {
    let folder = emnist("emnist-letters");
    let (dataset, findings) = read_folder(&folder, &Handling::default());
    assert_eq!(findings, [Finding::LabelsFrom(1), Finding::Transposed]);
    let digits = digits();
    assert_eq!(
        (&dataset.train, &dataset.test),
        (&digits.train, &digits.test)
    );
    // The labels keep their numbers as names.
    assert_eq!(dataset.label_names[0], "1");
    assert_eq!(dataset.classes(), 10);

    let mapping: String = (1..=10)
        .map(|label| format!("{label} {0} {1}\n", 64 + label, 96 + label))
        .collect();
    write(&folder, "emnist-letters-mapping.txt", mapping.as_bytes());
    let (dataset, _) = read_folder(&folder, &Handling::default());
    assert_eq!(dataset.label_names[..3], ["A", "B", "C"]);
    assert_eq!(dataset.train, digits.train);

    let as_stored = Handling {
        orientation: Orientation::AsStored,
        ..Handling::default()
    };
    let (dataset, _) = read_folder(&folder, &as_stored);
    assert_eq!(
        dataset.train.images,
        digits
            .train
            .images
            .transposed(PixelStore::Memory)
            .expect("transposed")
    );
}

#[test]
fn emnist_under_other_names_is_reported_and_read_as_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = emnist("x");
    for entry in fs::read_dir(source.path()).expect("a folder").flatten() {
        let name = entry.file_name().into_string().expect("a name");
        let name = name.trim_start_matches("x-").replace("test", "t10k");
        fs::copy(entry.path(), folder.path().join(name)).expect("copied");
    }
    let (dataset, findings) = read_folder(&folder, &Handling::default());
    assert_eq!(findings, [Finding::NoLabelZero, Finding::LooksTransposed]);
    // A label without images is reported as well.
    assert_eq!(dataset.classes(), 11);
    let all = read("digits", folder.path(), &Handling::default()).expect("a data set");
    let none = all
        .findings
        .iter()
        .find(|it| matches!(it, Finding::NoImages { .. }));
    assert_eq!(
        none.map(Finding::to_string).as_deref(),
        Some("there is no training image of label \"0\"")
    );

    let asked = Handling {
        orientation: Orientation::Transposed,
        first_label: Some(1),
        ..Handling::default()
    };
    let (dataset, findings) = read_folder(&folder, &asked);
    assert_eq!(findings, [Finding::LabelsFrom(1)]);
    assert_eq!(dataset.train, digits().train);
    // With as many names as labels there is no doubt where they begin.
    write(&folder, LABELS_FILE, b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj");
    let (dataset, findings) = read_folder(&folder, &Handling::default());
    assert_eq!(findings, [Finding::LabelsFrom(1), Finding::LooksTransposed]);
    assert_eq!(
        (dataset.label_names[9].as_str(), &dataset.train.labels),
        ("j", &digits().train.labels)
    );

    let too_high = Handling {
        first_label: Some(2),
        ..Handling::default()
    };
    let error = read("x", folder.path(), &too_high)
        .expect_err("a label 1")
        .to_string();
    assert!(
        error.contains("outside 2 to 1001; name the smallest"),
        "{error}"
    );
}

#[test]
fn upright_images_under_emnists_names_stay_so() {
    let folder = folder_with([
        "emnist-digits-train-images-idx3-ubyte.gz",
        "emnist-digits-train-labels-idx1-ubyte.gz",
        "emnist-digits-test-images-idx3-ubyte.gz",
        "emnist-digits-test-labels-idx1-ubyte.gz",
    ]);
    let (dataset, findings) = read_folder(&folder, &Handling::default());
    assert_eq!(
        (dataset, findings),
        (digits(), vec![Finding::NotTransposed])
    );
}

#[test]
fn a_share_is_kept_for_the_test_where_there_is_no_test_part() {
    let folder = folder_with([TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS]);
    let fraction = Handling {
        test_fraction: Some(0.2),
        ..Handling::default()
    };
    let error = read("x", folder.path(), &fraction)
        .expect_err("two test parts")
        .to_string();
    assert!(error.contains("it has a test part"), "{error}");
    fs::remove_file(folder.path().join(TEST_IMAGES)).expect("removed");
    let error = read("x", folder.path(), &fraction)
        .expect_err("half a part")
        .to_string();
    assert!(error.contains("no t10k-images-idx3-ubyte"), "{error}");
    fs::remove_file(folder.path().join(TEST_LABELS)).expect("removed");
    let error = load("x", folder.path())
        .expect_err("no test part")
        .to_string();
    assert!(error.contains("--test-fraction"), "{error}");

    let (dataset, findings) = read_folder(&folder, &fraction);
    let (train, test) = (&dataset.train, &dataset.test);
    assert_eq!(
        findings,
        [Finding::HeldOut {
            test: test.labels.len(),
            of: 60
        }]
    );
    let all = digits().train;
    let shares = all.class_counts(10).into_iter().zip(test.class_counts(10));
    for (images, kept) in shares {
        assert_eq!(kept, ((images as f64 * 0.2).round() as u64).max(1));
    }
    let part = |part: &LabelledImages| -> Vec<(u16, Vec<u8>)> {
        let images = part.labels.iter().enumerate();
        images
            .map(|(index, label)| (*label, part.images.image(index).expect("one").to_vec()))
            .collect()
    };
    let mut parts = [part(train), part(test)].concat();
    let mut whole = part(&all);
    parts.sort();
    whole.sort();
    assert!(parts == whole, "each image is in one part");
    assert_eq!(read_folder(&folder, &fraction).0, dataset);
}

#[test]
fn dark_ink_on_light_paper_is_reported_and_inverted_on_request() {
    let folder = folder_with([TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS]);
    let digits = digits();
    for (file, part) in [(TRAIN_IMAGES, &digits.train), (TEST_IMAGES, &digits.test)] {
        let images = part.images.inverted(PixelStore::Memory).expect("inverted");
        idx::write_images(&folder.path().join(file), &images).expect("written");
    }
    let with = |polarity| {
        let handling = Handling {
            polarity,
            ..Handling::default()
        };
        read_folder(&folder, &handling)
    };
    let (dataset, findings) = with(Polarity::AsStored);
    assert_eq!(findings, [Finding::DarkOnLight]);
    assert_ne!(dataset, digits);
    assert_eq!(with(Polarity::Inverted), (digits.clone(), vec![]));
    assert_eq!(
        with(Polarity::LightOnDark),
        (digits, vec![Finding::Inverted])
    );
}
