use super::*;

/// Two training images and one test image of 1×2.
fn tiny() -> Dataset {
    let images = |count: usize, pixels: &[u8]| Images {
        count,
        height: 1,
        width: 2,
        pixels: pixels.to_vec().into(),
    };
    let train = LabelledImages {
        images: images(2, &[0, 1, 2, 3]),
        labels: vec![0, 1],
    };
    let test = LabelledImages {
        images: images(1, &[4, 5]),
        labels: vec![1],
    };
    Dataset::new("tiny", train, test, numbered_names(2)).expect("it fits together")
}

#[test]
fn images_are_found_by_index() {
    let tiny = tiny();
    assert_eq!(tiny.train.images.image(1), Some(&[2, 3][..]));
    assert_eq!(tiny.train.images.image(2), None);
    assert_eq!(tiny.train.images.image(usize::MAX), None);
    assert_eq!((tiny.classes(), tiny.height(), tiny.width()), (2, 1, 2));
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    type Damage = fn(&mut Dataset);
    let cases: [(Damage, &str); 13] = [
        (
            |d| d.test.images.width = 1,
            "the training images are 1×2 and the test images 1×1",
        ),
        (
            |d| d.train.labels.truncate(1),
            "2 training images but 1 labels",
        ),
        (
            |d| d.test.labels[0] = 2,
            "test image 0 has label 2 but there are 2 labels, 0 to 1",
        ),
        (
            |d| d.train.images.pixels.truncate(3),
            "3 pixels for 2 training images of 1×2",
        ),
        (
            |d| d.test.images.count = usize::MAX,
            "pixels for 18446744073709551615 test images",
        ),
        (
            |d| {
                d.test.images.count = 0;
                d.test.images.pixels.clear();
                d.test.labels.clear();
            },
            "there is no test image",
        ),
        (
            |d| {
                d.train.images.height = 0;
                d.test.images.height = 0;
            },
            "the images are 0×2; a side has 1 to 4096 pixels",
        ),
        (
            |d| {
                d.train.images.width = 4_097;
                d.test.images.width = 4_097;
            },
            "the images are 1×4097",
        ),
        (|d| d.label_names.truncate(1), "1 labels; give 2 to 1000"),
        (
            |d| d.label_names = numbered_names(1_001),
            "1001 labels; give 2 to 1000",
        ),
        (
            |d| d.label_names[1] = "0".to_owned(),
            "the name of label 1, \"0\", occurs twice",
        ),
        (
            |d| d.label_names[1] = "x".repeat(257),
            "the name of label 1 is longer than 256 bytes",
        ),
        (
            |d| d.label_names[0] = " ".to_owned(),
            "the name of label 0 is \" \"",
        ),
    ];
    for (damage, reason) in cases {
        let mut dataset = tiny();
        damage(&mut dataset);
        let error = dataset.validate().expect_err(reason).to_string();
        assert!(error.starts_with("data set \"tiny\": "), "{error}");
        assert!(error.contains(reason), "{reason:?} is not in {error:?}");
    }
}

#[test]
fn the_digest_depends_on_the_content_alone() {
    let digest = tiny().digest;
    // Computed with sha256sum from the definition: it may never change.
    assert_eq!(
        digest,
        "8b02173b0f441dcc9eb0c966e2eb344ae5de14b581dc754c955d93be6f45a7d3"
    );

    let mut renamed = tiny();
    renamed.name = "other".to_owned();
    assert_eq!(renamed.content_digest(), digest);

    type Change = fn(&mut Dataset);
    let changes: [Change; 5] = [
        |d| d.train.images.pixels = vec![9; d.train.images.pixels.len()].into(),
        |d| d.train.labels[0] = 1,
        |d| d.test.images.pixels = vec![9; d.test.images.pixels.len()].into(),
        |d| std::mem::swap(&mut d.test, &mut d.train),
        |d| d.label_names[0] = "zero".to_owned(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut changed = tiny();
        change(&mut changed);
        assert_ne!(changed.content_digest(), digest, "change {index}");
    }
}
