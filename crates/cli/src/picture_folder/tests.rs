//! Folders of pictures in a temporary folder, and the small one in `tests/cases`.

use super::*;
use digits_dataset::{Assembled, Dataset, Finding, Polarity};
use image::{DynamicImage, ImageFormat, Luma, LumaA, Rgb};
use std::path::PathBuf;
use tempfile::TempDir;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/folder-per-class");

/// Copies pictures of the cases: digit 7's three and digit 3's three, into folders of these names.
fn folder_with(seven: &str, three: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (digit, name) in [("7", seven), ("3", three)] {
        let target = folder.path().join(name);
        fs::create_dir_all(&target).expect("created");
        for entry in fs::read_dir(Path::new(CASES).join(digit))
            .expect("a case")
            .flatten()
        {
            fs::copy(entry.path(), target.join(entry.file_name())).expect("copied");
        }
    }
    folder
}

fn read_all(folder: &Path) -> ImageSet {
    read(folder, &Handling::default(), None, &ProgressBar::hidden()).expect("a data set")
}

fn error_of(folder: &TempDir) -> String {
    let result = read(
        folder.path(),
        &Handling::default(),
        None,
        &ProgressBar::hidden(),
    );
    result.err().expect("an error").to_string()
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    path
}

fn save(folder: &TempDir, name: &str, picture: impl Into<DynamicImage>) {
    let picture = picture.into();
    picture
        .save_with_format(folder.path().join(name), ImageFormat::Png)
        .expect("saved");
}

/// A case's picture as grey pixels.
fn case(name: &str) -> image::GrayImage {
    image::open(Path::new(CASES).join(name))
        .expect("a picture")
        .to_luma8()
}

fn has(dataset: &Dataset, label: u16, pixels: &[u8]) -> bool {
    [&dataset.train, &dataset.test].into_iter().any(|part| {
        let mut all = part.labels.iter().enumerate();
        all.any(|(index, it)| *it == label && part.images.image(index) == Some(pixels))
    })
}

#[test]
fn a_folder_for_each_label_is_a_data_set() {
    let ImageSet { assembled, notes } = read_all(Path::new(CASES));
    let Assembled { dataset, findings } = assembled;
    assert_eq!(dataset.label_names, digits_dataset::numbered_names(10));
    assert_eq!((dataset.height(), dataset.width()), (28, 28));
    // Of the three pictures of each label one is kept.
    assert_eq!(dataset.train.class_counts(10), [2; 10]);
    assert_eq!(dataset.test.class_counts(10), [1; 10]);
    assert!(has(&dataset, 7, case("7/15.png").as_raw()));
    assert_eq!(notes, [""; 0]);
    assert_eq!(findings[0], Finding::HeldOut { test: 10, of: 30 });
    assert!(
        matches!(findings[1], Finding::FewImages { .. }),
        "{findings:?}"
    );
    assert_eq!(read_all(Path::new(CASES)).assembled.dataset, dataset);
}

#[test]
fn labels_are_the_names_of_the_folders_in_natural_order() {
    let folder = folder_with("10", "9");
    assert_eq!(
        read_all(folder.path()).assembled.dataset.label_names,
        ["9", "10"]
    );
    let folder = folder_with("seven", "Three");
    fs::create_dir(folder.path().join("empty")).expect("created");
    let assembled = read_all(folder.path()).assembled;
    assert_eq!(assembled.dataset.label_names, ["Three", "empty", "seven"]);
    let findings: Vec<String> = assembled.findings.iter().map(ToString::to_string).collect();
    let expected = "there is no training image of label \"empty\"".to_owned();
    assert!(findings.contains(&expected), "{findings:?}");
}

#[test]
fn train_and_test_folders_are_the_parts() {
    let folder = folder_with("train/7", "Test/7");
    fs::create_dir(folder.path().join("train/8")).expect("created");
    let copied = folder.path().join("train/8/a.png");
    fs::copy(Path::new(CASES).join("8/17.png"), copied).expect("copied");
    let ImageSet { assembled, notes } = read_all(folder.path());
    let dataset = assembled.dataset;
    assert_eq!(dataset.label_names, ["7", "8"]);
    assert_eq!(
        (&dataset.train.labels[..], &dataset.test.labels[..]),
        (&[0, 0, 0, 1][..], &[0; 3][..])
    );
    assert_eq!(notes, [""; 0]);

    // Without a test part the one for validation is it, else it is for training.
    fs::rename(folder.path().join("Test"), folder.path().join("val")).expect("renamed");
    let ImageSet { assembled, notes } = read_all(folder.path());
    assert_eq!(
        assembled.dataset,
        dataset_named(&dataset, &assembled.dataset)
    );
    assert!(notes[0].ends_with("val are the test part"), "{notes:?}");
    fs::create_dir_all(folder.path().join("test/7")).expect("created");
    fs::copy(
        Path::new(CASES).join("7/15.png"),
        folder.path().join("test/7/a.png"),
    )
    .expect("copied");
    let ImageSet { assembled, notes } = read_all(folder.path());
    assert_eq!(assembled.dataset.train.labels, [0, 0, 0, 0, 0, 0, 1]);
    assert!(
        notes[0].contains("added to those for training"),
        "{notes:?}"
    );
}

#[test]
fn folders_beside_train_are_reported_and_train_may_be_a_label() {
    let folder = folder_with("train/7", "test/7");
    fs::create_dir_all(folder.path().join("train/8")).expect("created");
    fs::create_dir(folder.path().join("raw")).expect("created");
    let set = read_all(folder.path());
    assert_eq!(set.assembled.dataset.label_names, ["7", "8"]);
    let raw = folder.path().join("raw").display().to_string();
    assert!(set.notes[0].starts_with(&raw), "{:?}", set.notes);
    let folder = folder_with("train", "car");
    assert_eq!(
        read_all(folder.path()).assembled.dataset.label_names,
        ["car", "train"]
    );
}

/// A data set under the name of another.
fn dataset_named(dataset: &Dataset, other: &Dataset) -> Dataset {
    Dataset {
        name: other.name.clone(),
        ..dataset.clone()
    }
}

#[test]
fn files_of_the_system_are_ignored_and_others_reported() {
    let folder = folder_with("7", "3");
    let expected = read_all(folder.path()).assembled.dataset;
    for name in [
        ".DS_Store",
        "7/.DS_Store",
        "7/._15.png",
        "7/Thumbs.db",
        "3/desktop.ini",
    ] {
        write(&folder, name, b"\0\x05\x16\x07");
    }
    fs::create_dir(folder.path().join("__MACOSX")).expect("created");
    let ImageSet { assembled, notes } = read_all(folder.path());
    assert_eq!((assembled.dataset, notes), (expected.clone(), vec![]));
    write(&folder, "7/notes", b"mine");
    write(&folder, "README.md", b"# Mine");
    let ImageSet { assembled, notes } = read_all(folder.path());
    assert_eq!(assembled.dataset, expected);
    assert!(
        notes.len() == 1 && notes[0].starts_with("2 files or folders were ignored"),
        "{notes:?}"
    );

    // Without an extension the content decides.
    fs::rename(folder.path().join("7/15.png"), folder.path().join("7/15")).expect("renamed");
    assert_eq!(read_all(folder.path()).assembled.dataset, expected);
    fs::rename(folder.path().join("7/15"), folder.path().join("7/15.png")).expect("renamed");

    // A picture that is not read is an error: leaving it out would be another data set.
    let heic = write(&folder, "7/photo.HEIC", b"\0\0\0\x18ftypheic");
    let error = error_of(&folder);
    let expected = format!(
        "{}: is a picture in a format that is not read, heic",
        heic.display()
    );
    assert!(error.starts_with(&expected), "{error}");
    fs::remove_file(heic).expect("removed");
    let cut = fs::read(Path::new(CASES).join("7/15.png")).expect("a case");
    let damaged = write(&folder, "7/cut.png", &cut[..cut.len() / 2]);
    let error = error_of(&folder);
    let expected = format!("{}: cannot be read as a picture (", damaged.display());
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn colour_16_bits_and_transparency_are_converted_and_reported() {
    let folder = folder_with("7", "3");
    let seven = case("7/15.png");
    let (width, height) = seven.dimensions();
    let deep = image::ImageBuffer::from_fn(width, height, |x, y| {
        Luma([u16::from(seven.get_pixel(x, y)[0]) * 257])
    });
    save(&folder, "7/deep.png", DynamicImage::ImageLuma16(deep));
    save(
        &folder,
        "7/red.png",
        image::RgbImage::from_fn(width, height, |x, y| Rgb([seven.get_pixel(x, y)[0], 0, 0])),
    );
    // White ink on nothing, which is as on black.
    save(
        &folder,
        "7/clear.png",
        DynamicImage::ImageLumaA8(image::ImageBuffer::from_fn(width, height, |x, y| {
            LumaA([255, seven.get_pixel(x, y)[0]])
        })),
    );
    let ImageSet { assembled, notes } = read_all(folder.path());
    let count = |pixels: &[u8]| {
        let parts = [&assembled.dataset.train, &assembled.dataset.test];
        parts
            .iter()
            .flat_map(|it| it.images.pixels.chunks(784))
            .filter(|it| *it == pixels)
            .count()
    };
    assert_eq!(
        count(seven.as_raw()),
        3,
        "the original, the deep and the clear one"
    );
    let red: Vec<u8> = seven
        .iter()
        .map(|&it| (0.299 * f32::from(it)).round() as u8)
        .collect();
    assert_eq!(count(&red), 1);
    assert_eq!(
        notes,
        [
            "1 picture in colour was converted to grey",
            "1 picture of 16 bits was converted to 8 bits",
            "1 picture with transparency was put on white, or on black where their ink is light",
        ]
    );
}

#[test]
fn a_jpeg_is_read_and_one_that_is_cut_off_is_refused() {
    let folder = folder_with("7", "3");
    let seven = case("7/15.png");
    let path = folder.path().join("7/a.jpg");
    seven.save(&path).expect("saved");
    let dataset = read_all(folder.path()).assembled.dataset;
    let is_near = |image: &[u8]| {
        image
            .iter()
            .zip(seven.iter())
            .all(|(a, b)| a.abs_diff(*b) < 60)
    };
    let parts = [&dataset.train, &dataset.test].into_iter();
    let near = parts
        .flat_map(|part| part.images.pixels.chunks(784))
        .filter(|it| is_near(it));
    assert_eq!(near.count(), 2, "the PNG and the JPEG");
    let whole = fs::read(&path).expect("the JPEG");
    // Without its end marker it is whole; with one, in place of the rest of its data, it is not.
    fs::write(&path, &whole[..whole.len() - 2]).expect("written");
    read_all(folder.path());
    for kept in [whole.len() - 20, whole.len() - 60] {
        for end in [&[][..], &[0xff, 0xd9]] {
            fs::write(&path, [&whole[..kept], end].concat()).expect("written");
            let error = error_of(&folder);
            assert!(
                error.contains("a.jpg: cannot be read as a picture (the picture is truncated or"),
                "{error}"
            );
        }
    }
}

#[test]
fn another_size_is_named_and_scaled_on_request() {
    let folder = folder_with("7", "3");
    save(&folder, "7/a-wide.png", image::GrayImage::new(40, 30));
    let error = error_of(&folder);
    let like = folder.path().join("3/10.png");
    let expected = format!(
        "7/a-wide.png: is 30x40 pixels, and {} is 28x28",
        like.display()
    );
    let expected_other = format!(
        "7/a-wide.png: is 30x40 pixels, and {} is 28x28",
        folder.path().join("3/7.png").display()
    );
    assert!(
        error.contains(&expected) || error.contains(&expected_other),
        "{error}"
    );
    assert!(error.contains("--size 28x28"), "{error}");
    let size = Size {
        height: 14,
        width: 7,
    };
    let set = read(
        folder.path(),
        &Handling::default(),
        Some(size),
        &ProgressBar::hidden(),
    )
    .expect("scaled");
    let dataset = set.assembled.dataset;
    assert_eq!((dataset.height(), dataset.width()), (14, 7));
    assert_eq!(
        set.notes,
        ["7 pictures of another size were scaled to 14x7"]
    );
}

#[test]
fn dark_ink_is_reported_and_made_light_for_handwriting() {
    let folder = folder_with("7", "3");
    let expected = read_all(folder.path()).assembled.dataset;
    for entry in ["7", "3"]
        .iter()
        .flat_map(|it| fs::read_dir(folder.path().join(it)).expect("a folder"))
    {
        let path = entry.expect("a file").path();
        let mut picture = image::open(&path).expect("a picture");
        picture.invert();
        picture.save(&path).expect("saved");
    }
    let read_as = |polarity| {
        let handling = Handling {
            polarity,
            ..Handling::default()
        };
        read(folder.path(), &handling, None, &ProgressBar::hidden())
            .expect("a data set")
            .assembled
    };
    let as_stored = read_as(Polarity::AsStored);
    assert!(
        as_stored.findings.contains(&Finding::DarkOnLight),
        "{:?}",
        as_stored.findings
    );
    assert_ne!(as_stored.dataset, expected);
    let inverted = read_as(Polarity::LightOnDark);
    assert!(
        inverted.findings.contains(&Finding::Inverted),
        "{:?}",
        inverted.findings
    );
    assert_eq!(inverted.dataset, expected);
}

#[test]
fn folders_that_are_no_data_set_are_refused_with_the_remedy() {
    let folder = folder_with("inner/7", "inner/3");
    let error = error_of(&folder);
    let inner = folder.path().join("inner");
    let expected = format!(
        "has only the folder \"inner\", and a data set has a folder for each of 2 or more labels: give {}",
        inner.display()
    );
    assert!(error.contains(&expected), "{error}");
    let empty = tempfile::tempdir().expect("a folder");
    assert!(!is_one(empty.path()) && is_one(&inner) && is_one(Path::new(CASES)));
    let handling = Handling {
        first_label: Some(1),
        ..Handling::default()
    };
    let error = read(&inner, &handling, None, &ProgressBar::hidden())
        .err()
        .expect("an error")
        .to_string();
    assert!(error.contains("leave --labels-from away"), "{error}");
}
