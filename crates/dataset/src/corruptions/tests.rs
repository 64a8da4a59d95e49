use super::*;
use crate::synthetic;
use std::collections::HashSet;

fn corrupt_images(images: &Images, corruption: Corruption, seed: u64) -> Images {
    corrupt_range(images, 0..images.count, corruption, seed)
}

fn digits() -> LabelledImages {
    synthetic::generate(&synthetic::Options {
        train: 1,
        test: 200,
        seed: 3,
    })
    .test
}

fn mean(pixels: &[u8]) -> f64 {
    pixels.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / (255.0 * pixels.len() as f64)
}

/// The mean grey over all images, as a share of full ink; the originals have `of`.
fn expected_mean(corruption: Corruption, of: f64) -> (f64, f64) {
    match corruption {
        // Clipping at white removes some photons.
        Corruption::ShotNoise => (0.7 * of, of),
        Corruption::ImpulseNoise => (of + 0.04, of + 0.09),
        Corruption::GlassBlur | Corruption::MotionBlur => (0.95 * of, 1.05 * of),
        Corruption::Shear | Corruption::Rotate | Corruption::Translate => (0.85 * of, 1.12 * of),
        Corruption::Scale => (0.45 * of, 0.53 * of),
        Corruption::Brightness => (0.5 + 0.4 * of, 0.5 + of),
        Corruption::Stripe => (0.5, 0.62),
        Corruption::Fog => (0.2, 0.6),
        Corruption::Spatter => (0.5 * of, of + 0.1),
        Corruption::DottedLine => (of + 0.01, of + 0.1),
        Corruption::Zigzag => (of + 0.03, of + 0.2),
        Corruption::CannyEdges => (0.05, 0.3),
    }
}

#[test]
fn each_corruption_changes_the_images_by_its_known_amount() {
    let digits = digits();
    let before = mean(&digits.images.pixels);
    for corruption in Corruption::ALL {
        let changed = corrupted(&digits, corruption, 1);
        assert_eq!(changed.labels, digits.labels);
        assert_eq!(changed.images.pixels.len(), digits.images.pixels.len());
        for number in 0..digits.images.count {
            assert_ne!(
                changed.images.image(number),
                digits.images.image(number),
                "{corruption:?}, image {number}"
            );
        }
        let (low, high) = expected_mean(corruption, before);
        let after = mean(&changed.images.pixels);
        assert!(
            (low..=high).contains(&after),
            "{corruption:?}: {before:.4} became {after:.4}, expected {low:.4} to {high:.4}"
        );
    }
}

#[test]
fn corrupted_images_have_their_pinned_digest() {
    let digits = digits();
    let mut pixels = Vec::new();
    for corruption in Corruption::ALL {
        pixels.extend(corrupted(&digits, corruption, 17).images.pixels);
    }
    assert_eq!(
        crate::digest::of_parts(&[&pixels]),
        "d09fdb847f4a0f29096078841f27da8567192f0d7ff9ac245d60b1fa87aa5a87"
    );
}

#[test]
fn an_image_does_not_depend_on_the_others() {
    let images = digits().images;
    for corruption in Corruption::ALL {
        let all = corrupt_images(&images, corruption, 2);
        let some = corrupt_range(&images, 3..8, corruption, 2);
        assert_eq!((some.count, some.height, some.width), (5, 28, 28));
        assert_eq!(all.pixels[3 * 784..8 * 784], some.pixels, "{corruption:?}");
    }
}

#[test]
fn seeds_matter_only_for_random_corruptions() {
    let digits = digits();
    for corruption in Corruption::ALL {
        let fixed = [
            Corruption::Scale,
            Corruption::Brightness,
            Corruption::Stripe,
            Corruption::CannyEdges,
        ];
        let (one, other) = (
            corrupted(&digits, corruption, 1),
            corrupted(&digits, corruption, 2),
        );
        assert_eq!(one == other, fixed.contains(&corruption), "{corruption:?}");
    }
}

#[test]
fn images_of_any_size_are_corrupted() {
    for (height, width) in [(1, 1), (1, 9), (2, 3), (5, 40), (64, 20)] {
        let images = Images {
            count: 2,
            height,
            width,
            pixels: (0..2 * height * width).map(|at| (at * 37) as u8).collect(),
        };
        for corruption in Corruption::ALL {
            let changed = corrupt_images(&images, corruption, 0);
            assert_eq!(changed.pixels.len(), images.pixels.len(), "{corruption:?}");
        }
    }
}

#[test]
fn names_are_those_of_the_benchmark_and_unique() {
    let names: HashSet<_> = Corruption::ALL.iter().map(|one| one.name()).collect();
    assert_eq!(names.len(), 15);
    assert!(names.contains("dotted_line"));
}

/// A square of full ink, whose shifted, scaled and outlined form is known.
fn square() -> Images {
    let mut pixels = vec![0; 784];
    for row in 10..18 {
        pixels[row * 28 + 10..row * 28 + 18].fill(255);
    }
    Images {
        count: 1,
        height: 28,
        width: 28,
        pixels: pixels.into(),
    }
}

#[test]
fn a_square_is_shifted_scaled_and_outlined() {
    let at = |images: &Images, row: usize, column: usize| images.pixels[row * 28 + column];
    let moved = corrupt_images(&square(), Corruption::Translate, 0);
    let corners = [7, 13].into_iter().flat_map(|row| [(row, 7), (row, 13)]);
    let found: Vec<_> = corners
        .filter(|&(row, column)| {
            at(&moved, row, column) == 255 && at(&moved, row + 7, column + 7) == 255
        })
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");

    // Eight pixels become 5.6, around the same middle.
    let small = corrupt_images(&square(), Corruption::Scale, 0);
    assert_eq!((at(&small, 10, 13), at(&small, 13, 10)), (0, 0));
    assert_eq!((at(&small, 12, 12), at(&small, 15, 15)), (255, 255));

    let edges = corrupt_images(&square(), Corruption::CannyEdges, 0);
    assert!(edges.pixels.iter().all(|&pixel| pixel == 0 || pixel == 255));
    assert_eq!((at(&edges, 13, 13), at(&edges, 3, 3)), (0, 0));
    let outline = (6..14).filter(|&column| at(&edges, 14, column) == 255);
    assert_eq!(outline.count(), 1, "one line on the left side");

    let striped = corrupt_images(&square(), Corruption::Stripe, 0);
    assert_eq!(
        [6, 7, 20, 21].map(|column| at(&striped, 0, column)),
        [255, 0, 0, 255]
    );
}
