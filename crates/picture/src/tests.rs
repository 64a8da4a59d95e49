//! Tests of the whole normalization, on drawn pictures.

mod crops;
mod formats;
mod jpeg;
mod numbers;
mod printed;
mod strokes;

use super::{place::centre_of_mass, plane::Plane, *};
use image::{Rgba, RgbaImage};

const MNIST: Normalizer = Normalizer {
    height: 28,
    width: 28,
    recipe: Recipe::Mnist,
};

/// Distance of a point from the strokes of a 7 in a box of 1 × 1.6.
fn distance_to_seven(x: f32, y: f32) -> f32 {
    let strokes = [((0.3, 0.0), (1.0, 0.0)), ((1.0, 0.0), (0.35, 1.6))];
    strokes
        .iter()
        .map(|&((ax, ay), (bx, by))| {
            let (dx, dy) = (bx - ax, by - ay);
            let along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
            ((x - ax - along * dx).powi(2) + (y - ay - along * dy).powi(2)).sqrt()
        })
        .fold(f32::INFINITY, f32::min)
}

/// A 7 on a canvas: its box begins at `left`, `top` and is `unit` wide; the pen is `pen` wide.
#[derive(Clone, Copy)]
struct Seven {
    left: f32,
    top: f32,
    unit: f32,
    pen: f32,
}

impl Seven {
    const PLAIN: Self = Self {
        left: 90.0,
        top: 60.0,
        unit: 90.0,
        pen: 14.0,
    };

    /// Share of a pixel that is inked.
    fn ink(self, x: u32, y: u32) -> f32 {
        let (x, y) = (
            (x as f32 + 0.5 - self.left) / self.unit,
            (y as f32 + 0.5 - self.top) / self.unit,
        );
        (self.pen / 2.0 - distance_to_seven(x, y) * self.unit + 0.5).clamp(0.0, 1.0)
    }
}

/// A canvas of 280 × 280 with each pixel's colour made from its ink.
fn canvas(sevens: &[Seven], colour: impl Fn(u32, u32, f32) -> [u8; 4]) -> Picture {
    Picture::from_rgba(&RgbaImage::from_fn(280, 280, |x, y| {
        let ink = sevens
            .iter()
            .map(|seven| seven.ink(x, y))
            .fold(0.0, f32::max);
        Rgba(colour(x, y, ink))
    }))
}

/// Ink in grey levels from `paper` to `pen`.
fn picture(plane: &Plane, paper: f32, pen: f32) -> Picture {
    let size = (plane.width as u32, plane.height as u32);
    Picture::from_rgba(&RgbaImage::from_fn(size.0, size.1, |x, y| {
        let ink = plane.at(x as usize, y as usize);
        let level = (paper + (pen - paper) * ink) as u8;
        Rgba([level, level, level, 255])
    }))
}

fn mix(ink: f32, paper: [f32; 3], pen: [f32; 3]) -> [u8; 4] {
    let channel = |i: usize| {
        (paper[i] + (pen[i] - paper[i]) * ink)
            .round()
            .clamp(0.0, 255.0) as u8
    };
    [channel(0), channel(1), channel(2), 255]
}

fn input(normalized: &Normalized) -> Vec<u8> {
    match normalized {
        Normalized::Input(bytes) => bytes.clone(),
        other => panic!("an input was expected, not {other:?}"),
    }
}

fn plain() -> Vec<u8> {
    let picture = canvas(&[Seven::PLAIN], |_, _, ink| mix(ink, [255.0; 3], [0.0; 3]));
    input(&MNIST.picture(&picture))
}

/// Mean difference of two inputs, in grey levels.
fn difference(a: &[u8], b: &[u8]) -> f32 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| f32::from(a.abs_diff(b)))
        .sum::<f32>()
        / a.len() as f32
}

#[test]
fn a_normalized_digit_has_the_form_of_the_training_set() {
    let bytes = plain();
    let plane = Plane::from_bytes(28, 28, &bytes);
    assert!(place::is_in_form(&plane), "{bytes:?}");
    let (x, y) = centre_of_mass(&plane);
    assert!(
        (x - 14.0).abs() <= 0.5 && (y - 14.0).abs() <= 0.5,
        "centre of mass at {x}, {y}"
    );
    assert_eq!(bytes.iter().max(), Some(&255));
    // What is in form stays as it is.
    assert_eq!(input(&MNIST.pixels(&bytes)), bytes);
}

#[test]
fn a_digit_is_found_in_any_style_and_light() {
    let expected = plain();
    let check = |name: &str, bound: f32, picture: &Picture| {
        let got = difference(&input(&MNIST.picture(picture)), &expected);
        assert!(got <= bound, "{name}: differs by {got} grey levels");
    };
    let seven = Seven::PLAIN;
    let paint =
        |paper: [f32; 3], pen: [f32; 3]| canvas(&[seven], move |_, _, ink| mix(ink, paper, pen));
    check("light on dark", 1.0, &paint([0.0; 3], [255.0; 3]));
    check("grey on grey", 3.0, &paint([200.0; 3], [120.0; 3]));
    check(
        "light on middling grey",
        6.0,
        &paint([120.0; 3], [210.0; 3]),
    );
    check(
        "yellow on white",
        1.0,
        &paint([255.0; 3], [255.0, 255.0, 0.0]),
    );
    check(
        "yellow on blue",
        1.0,
        &paint([0.0, 0.0, 255.0], [255.0, 255.0, 0.0]),
    );
    let black_on_nothing = canvas(&[seven], |_, _, ink| [0, 0, 0, (ink * 255.0) as u8]);
    check("black on nothing", 1.0, &black_on_nothing);
    let white_on_nothing = canvas(&[seven], |_, _, ink| [255, 255, 255, (ink * 255.0) as u8]);
    check("white on nothing", 1.0, &white_on_nothing);
    let shade = |x: u32, y: u32| 255.0 - 0.35 * x as f32 - 0.2 * y as f32;
    let shaded = canvas(&[seven], |x, y, ink| {
        mix(ink, [shade(x, y); 3], [shade(x, y) * 0.25; 3])
    });
    check("shaded", 3.0, &shaded);
    // Steeply, so that the far edge is darker than the ink at the near one, and darker towards the
    // corners.
    let lit = |x: u32, y: u32, ink: f32| {
        let (u, v) = (x as f32 / 140.0 - 1.0, y as f32 / 140.0 - 1.0);
        let light = 130.0 - 75.0 * u - 20.0 * (u * u + v * v);
        mix(ink, [light; 3], [light * 0.4; 3])
    };
    check("lit from the left", 3.0, &canvas(&[seven], lit));
    let corner = Seven {
        left: 190.0,
        top: 170.0,
        unit: 60.0,
        pen: 60.0 * 14.0 / 90.0,
    };
    check(
        "small, in a corner",
        8.0,
        &canvas(&[corner], |_, _, ink| mix(ink, [255.0; 3], [0.0; 3])),
    );
    let dusty = canvas(&[seven], |x, y, ink| {
        let dust = (x / 4, y / 4) == (5, 60);
        mix(if dust { 1.0 } else { ink }, [255.0; 3], [0.0; 3])
    });
    check("with dust", 1.0, &dusty);
    // Fainter than the pen, as printed rules are, and as often behind the digit as next to it.
    let ruled = canvas(&[seven], |x, y, ink| {
        let rules = y % 32 < 2 || x == 40;
        let paper = if rules {
            [200.0, 215.0, 255.0]
        } else {
            [255.0; 3]
        };
        mix(ink, paper, [30.0; 3])
    });
    check("on ruled paper", 1.0, &ruled);
}

/// A thin line stays thin: what must be left of it is the whole of it, in each row and where the
/// broad one is.
#[test]
fn a_thin_stroke_is_kept_whole() {
    let thin = Seven {
        pen: 2.0,
        ..Seven::PLAIN
    };
    let thin = canvas(&[thin], |_, _, ink| mix(ink, [255.0; 3], [0.0; 3]));
    // Of each row with ink: how much, and the column of its centre.
    let rows = |input: &[u8]| -> Vec<(u32, f32)> {
        let rows = input.chunks(28).filter(|row| row.iter().any(|&x| x > 0));
        rows.map(|row| {
            let (x, _) = centre_of_mass(&Plane::from_bytes(28, 1, row));
            (row.iter().map(|&ink| u32::from(ink)).sum(), x)
        })
        .collect()
    };
    let (thin, broad) = (rows(&input(&MNIST.picture(&thin))), rows(&plain()));
    assert_eq!((thin.len(), broad.len()), (20, 20));
    // The bar of the broad one takes two rows.
    for (row, ((ink, x), (_, beside))) in thin.iter().zip(&broad).enumerate().skip(2) {
        assert!(*ink >= 100, "row {row} has {ink}");
        assert!((x - beside).abs() <= 1.0, "row {row}: {x} beside {beside}");
    }
}

#[test]
fn pictures_without_ink_are_blank() {
    for level in [0.0, 13.0, 128.0, 255.0] {
        let picture = canvas(&[], |_, _, _| mix(0.0, [level; 3], [0.0; 3]));
        assert_eq!(MNIST.picture(&picture), Normalized::Blank, "level {level}");
    }
    let faint = canvas(&[Seven::PLAIN], |_, _, ink| {
        mix(ink, [255.0; 3], [245.0; 3])
    });
    assert_eq!(MNIST.picture(&faint), Normalized::Blank);
    let nothing = canvas(&[], |_, _, _| [0; 4]);
    assert_eq!(MNIST.picture(&nothing), Normalized::Blank);
    assert_eq!(MNIST.pixels(&[0; 784]), Normalized::Blank);
    assert_eq!(MNIST.pixels(&[255; 784]), Normalized::Blank);
}

#[test]
fn several_digits_are_reported_with_their_boxes() {
    let left = Seven {
        left: 30.0,
        top: 80.0,
        unit: 60.0,
        pen: 8.0,
    };
    let right = Seven {
        left: 180.0,
        top: 90.0,
        unit: 60.0,
        pen: 8.0,
    };
    let picture = canvas(&[right, left], |_, _, ink| mix(ink, [255.0; 3], [0.0; 3]));
    let Normalized::Several(boxes) = MNIST.picture(&picture) else {
        panic!("several were expected");
    };
    let expected = [(44, 76, 50, 104), (194, 86, 50, 104)];
    assert_eq!(boxes.len(), 2);
    for (found, (left, top, width, height)) in boxes.iter().zip(expected) {
        let near = |a: usize, b: usize| a.abs_diff(b) <= 2;
        assert!(
            near(found.left, left)
                && near(found.top, top)
                && near(found.width, width)
                && near(found.height, height),
            "{found:?}"
        );
    }
}

#[test]
fn scale_only_does_not_segment() {
    let normalizer = Normalizer {
        height: 10,
        width: 20,
        recipe: Recipe::ScaleOnly,
    };
    let picture = Picture::from_rgba(&RgbaImage::from_fn(40, 20, |x, _| {
        Rgba(if x < 20 {
            [255, 255, 255, 255]
        } else {
            [50, 50, 50, 255]
        })
    }));
    let bytes = input(&normalizer.picture(&picture));
    let row: Vec<u8> = (0..20).map(|x| if x < 10 { 255 } else { 50 }).collect();
    assert_eq!(bytes, row.repeat(10));
    assert_eq!(normalizer.pixels(&bytes), Normalized::Input(bytes.clone()));
}

#[test]
fn resampling_keeps_means_and_edges() {
    let ramp = Plane {
        width: 4,
        height: 1,
        values: vec![0.0, 1.0, 0.0, 1.0],
    };
    assert_eq!(ramp.resized(2, 1).values, [0.5, 0.5]);
    let third = ramp.resized(3, 1).values;
    for (got, expected) in third.iter().zip([0.25, 0.5, 0.75]) {
        assert!((got - expected).abs() < 1e-6, "{third:?}");
    }
    // A constant stays constant, up and down.
    let flat = Plane::filled(7, 5, 0.4);
    for (width, height) in [(3, 2), (20, 20), (7, 50), (1, 1)] {
        let resized = flat.resized(width, height);
        assert_eq!((resized.width, resized.height), (width, height));
        assert!(
            resized
                .values
                .iter()
                .all(|value| (value - 0.4).abs() < 1e-5),
            "{width} x {height}"
        );
    }
    let one = Plane::filled(1, 1, 0.7);
    assert!(
        one.resized(5, 3)
            .values
            .iter()
            .all(|value| (value - 0.7).abs() < 1e-5)
    );
}
