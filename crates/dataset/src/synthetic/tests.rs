use super::*;

fn drawn(train: usize, test: usize, seed: u64) -> Dataset {
    generate(&Options { train, test, seed })
}

#[test]
fn synthetic_digits_have_their_pinned_digest() {
    let digits = drawn(500, 100, 7);
    assert_eq!(digits.validate().map_err(|error| error.to_string()), Ok(()));
    assert_eq!(
        (digits.height(), digits.width(), digits.classes()),
        (SIDE, SIDE, 10)
    );
    assert_eq!(
        digits.digest,
        "bef49aaf549986dd4cd4a4514cfd02aa2dfe9225d73a2352bba67c9fc05e3d3a"
    );
}

#[test]
fn an_image_does_not_depend_on_how_many_are_drawn() {
    let (few, many) = (drawn(10, 20, 3), drawn(300, 25, 3));
    assert_eq!(
        few.train.images.pixels,
        many.train.images.pixels[..10 * SIDE * SIDE]
    );
    assert_eq!(
        few.test.images.pixels,
        many.test.images.pixels[..20 * SIDE * SIDE]
    );
    assert_eq!(few.train.labels, many.train.labels[..10]);
}

#[test]
fn seeds_and_parts_differ() {
    let (one, other) = (drawn(20, 20, 1), drawn(20, 20, 2));
    assert_ne!(one.train, other.train);
    assert_ne!(one.train, one.test);
}

#[test]
fn every_digit_is_about_equally_frequent_and_inside_the_image() {
    let digits = drawn(5_000, 1, 0);
    for digit in 0..10 {
        let count = digits
            .train
            .labels
            .iter()
            .filter(|&&label| label == digit)
            .count();
        assert!((400..600).contains(&count), "{count} of {digit}");
    }
    for index in 0..digits.train.images.count {
        let image = digits.train.images.image(index).expect("it is drawn");
        let inked = image.iter().filter(|&&pixel| pixel > 100).count();
        assert!(
            (10..400).contains(&inked),
            "image {index} has {inked} pixels of ink"
        );
        let border = (0..SIDE).flat_map(|at| [at, 27 * SIDE + at, at * SIDE, at * SIDE + 27]);
        assert!(
            border.into_iter().all(|at| image[at] < 128),
            "image {index} touches the border"
        );
    }
}

#[test]
#[should_panic(expected = "draw 1 to 1000000 digits, not 0")]
fn zero_images_panic() {
    drawn(0, 1, 0);
}

/// The mean image of each class already classifies most digits. (784-128-10 trained
/// with momentum for three epochs on 60,000: 99.7 %.)
#[test]
fn the_nearest_mean_image_classifies_most_digits() {
    const SIZE: usize = SIDE * SIDE;
    let digits = drawn(4_000, 1_000, 5);
    let mut means = vec![[0.0_f32; SIZE]; 10];
    let mut counts = [0.0_f32; 10];
    for (image, &label) in digits
        .train
        .images
        .pixels
        .chunks_exact(SIZE)
        .zip(&digits.train.labels)
    {
        counts[usize::from(label)] += 1.0;
        for (sum, &pixel) in means[usize::from(label)].iter_mut().zip(image) {
            *sum += f32::from(pixel);
        }
    }
    for (mean, count) in means.iter_mut().zip(counts) {
        mean.iter_mut().for_each(|sum| *sum /= count);
    }
    let distance = |image: &[u8], mean: &[f32; SIZE]| -> f32 {
        image
            .iter()
            .zip(mean)
            .map(|(&pixel, mean)| (f32::from(pixel) - mean).powi(2))
            .sum()
    };
    let right = digits
        .test
        .images
        .pixels
        .chunks_exact(SIZE)
        .zip(&digits.test.labels)
        .filter(|(image, label)| {
            let nearest = (0..10)
                .min_by(|&a, &b| distance(image, &means[a]).total_cmp(&distance(image, &means[b])));
            nearest == Some(usize::from(**label))
        });
    let right = right.count();
    assert!((650..950).contains(&right), "{right} of 1,000 right");
}
