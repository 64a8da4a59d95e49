//! Tests that a digit cut out at its box is read as with a margin.

use super::{super::*, MNIST, Plane, difference, input, picture, printed::digits};

/// The smallest part of the plane that holds all ink.
fn cropped(plane: &Plane) -> Plane {
    let inked = |at: &usize| plane.values[*at] > 0.5;
    let at: Vec<usize> = (0..plane.values.len()).filter(inked).collect();
    let range = |of: fn(usize, usize) -> usize| {
        let places = || at.iter().map(|&at| of(at, plane.width));
        (places().min().unwrap_or(0), places().max().unwrap_or(0) + 1)
    };
    let ((left, right), (top, bottom)) = (range(|at, w| at % w), range(|at, w| at / w));
    let rows = plane.rows().skip(top).take(bottom - top);
    Plane {
        width: right - left,
        height: bottom - top,
        values: rows.flat_map(|row| &row[left..right]).copied().collect(),
    }
}

/// With a margin without ink.
fn padded(plane: &Plane, margin: usize) -> Plane {
    let (width, height) = (plane.width + 2 * margin, plane.height + 2 * margin);
    let mut padded = Plane::filled(width, height, 0.0);
    for (y, row) in plane.rows().enumerate() {
        padded.values[(margin + y) * width + margin..][..plane.width].copy_from_slice(row);
    }
    padded
}

/// Ink spread by `by` pixels in all directions.
fn thickened(plane: &Plane, by: usize) -> Plane {
    let mut thick = plane.clone();
    for y in 0..plane.height {
        for x in 0..plane.width {
            let columns = x.saturating_sub(by)..(x + by + 1).min(plane.width);
            let rows = y.saturating_sub(by)..(y + by + 1).min(plane.height);
            let around = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
            let most = around.map(|(x, y)| plane.at(x, y)).fold(0.0, f32::max);
            thick.values[y * plane.width + x] = most;
        }
    }
    thick
}

/// Mean difference of two inputs under which they are the same digit; an inverted one differs by 70
/// and more.
const SAME: f32 = 20.0;

#[test]
fn a_tight_crop_is_read_as_with_a_margin() {
    let (wrong, _) = misread([0, 8]);
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}

/// Strokes so thick that most of the picture is ink, and what is between them may look like
/// strokes.
#[test]
fn hardly_any_tight_crop_of_a_very_thick_digit_is_misread() {
    let (wrong, all) = misread([14]);
    assert!(wrong.len() * 40 <= all, "{} wrong: {wrong:#?}", wrong.len());
}

/// Crops with a thin margin or none that are read otherwise than with a wide one, by how much their
/// strokes are spread; and how many were tried.
fn misread(spreads: impl IntoIterator<Item = usize> + Clone) -> (Vec<String>, usize) {
    let (mut wrong, mut all) = (Vec::new(), 0);
    for (label, digit) in digits() {
        for by in spreads.clone() {
            // Room for the thicker strokes.
            let crop = cropped(&thickened(&padded(&digit, by), by));
            for size in [20, 28, 48, 64, 120] {
                let longest = crop.width.max(crop.height);
                let scaled = |side: usize| (side * size / longest).max(1);
                let crop = crop.resized(scaled(crop.width), scaled(crop.height));
                let crop = crop.map(|ink| ink.clamp(0.0, 1.0));
                for (paper, pen) in [(255.0, 0.0), (0.0, 255.0), (190.0, 60.0), (90.0, 230.0)] {
                    let with =
                        |margin: usize| MNIST.picture(&picture(&padded(&crop, margin), paper, pen));
                    let expected = input(&with(size / 4));
                    for margin in [0, 1, 2] {
                        let differs = match with(margin) {
                            Normalized::Input(bytes) => difference(&bytes, &expected),
                            _ => f32::INFINITY,
                        };
                        all += 1;
                        if differs > SAME {
                            let picture = format!("{size} px, margin {margin}, {pen} on {paper}");
                            wrong.push(format!("{label} by {by}, {picture}: {differs}"));
                        }
                    }
                }
            }
        }
    }
    (wrong, all)
}
