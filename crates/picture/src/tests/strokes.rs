//! Tests that strokes as straight and as thin as printed lines are kept.

use super::{super::ink, Plane};

/// A straight stroke from one point to another, (x, y), and its width.
type Stroke = ([f32; 2], [f32; 2], f32);

/// Strokes with soft edges.
fn strokes(size: (usize, usize), strokes: &[Stroke]) -> Plane {
    ink_of(size, |point| {
        let distances = strokes.iter().map(|&([ax, ay], [bx, by], width)| {
            let (dx, dy) = (bx - ax, by - ay);
            let (x, y) = (point.0 - ax, point.1 - ay);
            let along = ((x * dx + y * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
            (x - along * dx).hypot(y - along * dy) - width / 2.0
        });
        distances.fold(f32::INFINITY, f32::min)
    })
}

/// Ink by the distance of a point from its outline, negative within it.
fn ink_of(size: (usize, usize), distance: impl Fn((f32, f32)) -> f32) -> Plane {
    let mut ink = Plane::filled(size.0, size.1, 0.0);
    for (pixel, value) in ink.values.iter_mut().enumerate() {
        let point = ((pixel % size.0) as f32 + 0.5, (pixel / size.0) as f32 + 0.5);
        *value = (0.5 - distance(point)).clamp(0.0, 1.0);
    }
    ink
}

/// Asserts that nearly all ink is found, black on white and white on black.
fn check(name: &str, drawn: &Plane) {
    let total: f32 = drawn.values.iter().sum();
    for (colours, picture) in [
        ("black on white", drawn.map(|ink| 1.0 - ink)),
        ("white on black", drawn.clone()),
    ] {
        let found = ink::find(vec![picture]).expect("ink");
        let kept = found.values.iter().zip(&drawn.values);
        let kept: f32 = kept.map(|(found, drawn)| found.min(*drawn)).sum();
        assert!(kept > 0.9 * total, "{name}, {colours}: {}", kept / total);
    }
}

/// The largest of inks, pixel by pixel.
fn over(one: &Plane, other: &Plane) -> Plane {
    let mut both = one.clone();
    let values = both.values.iter_mut().zip(&other.values);
    values.for_each(|(a, b)| *a = a.max(*b));
    both
}

/// A ring within a box of (left, top, width, height), `width` thick.
fn ring(size: (usize, usize), [left, top, across, down]: [f32; 4], width: f32) -> Plane {
    let (rx, ry) = ((across - width) / 2.0, (down - width) / 2.0);
    let (cx, cy) = (left + across / 2.0, top + down / 2.0);
    ink_of(size, |(x, y)| {
        let (x, y) = ((x - cx) / rx, (y - cy) / ry);
        (x.hypot(y) - 1.0).abs() * rx.min(ry) - width / 2.0
    })
}

#[test]
fn strokes_between_two_sides_of_the_picture_are_kept() {
    for side in [100, 280] {
        let at = |share: f32| share * side as f32;
        let size = (side, side);
        let bowl = ring(size, [at(0.1), at(0.6), at(0.3), at(0.3)], at(0.1));
        let diagonal = strokes(size, &[([0.0, 0.0], [at(1.0), at(1.0)], at(0.03))]);
        check("a diagonal beside a ring", &over(&bowl, &diagonal));
        // A 5 whose bar is a stroke of its own and ends in the corner.
        let bowl = ring(size, [at(0.06), at(0.3), at(0.7), at(0.64)], at(0.09));
        for drop in [0.1, 0.2, 0.3] {
            let bar = ([at(0.45), at(drop)], [at(1.0), 0.0], at(0.03));
            let five = over(&bowl, &strokes(size, &[bar]));
            check(&format!("a 5 with a bar that rises by {drop}"), &five);
        }
    }
}

#[test]
fn ones_of_tight_numbers_are_kept() {
    for (width, height) in [(150, 120), (300, 240), (300, 150)] {
        let (w, h) = (width as f32, height as f32);
        let ring_box = [0.45 * w, 0.0, 0.55 * w, 0.9 * h];
        let zero = ring((width, height), ring_box, 0.08 * h);
        for slope in [0.03, 0.05, 0.09, 0.12] {
            let left = 0.02 * w;
            let one = ([left + slope * h, 0.0], [left, h], 0.03 * w);
            let one = strokes((width, height), &[one]);
            let name = format!("10 in {width} x {height}, slope {slope}");
            check(&name, &over(&zero, &one));
        }
    }
}

/// A pen with a broad nib, whose strokes across are thinner.
#[test]
fn thin_bars_of_digits_are_kept() {
    let digits: [(&str, &[Stroke]); 4] = [
        (
            "an open 4",
            &[
                ([55.0, 40.0], [55.0, 165.0], 15.0),
                ([50.0, 165.0], [245.0, 165.0], 6.0),
                ([170.0, 40.0], [170.0, 250.0], 15.0),
            ],
        ),
        (
            "a closed 4",
            &[
                ([180.0, 40.0], [70.0, 165.0], 20.0),
                ([50.0, 165.0], [245.0, 165.0], 6.0),
                ([180.0, 40.0], [180.0, 250.0], 20.0),
            ],
        ),
        (
            "a 2",
            &[
                ([70.0, 80.0], [130.0, 45.0], 20.0),
                ([130.0, 45.0], [190.0, 95.0], 20.0),
                ([190.0, 95.0], [65.0, 235.0], 20.0),
                ([45.0, 240.0], [225.0, 240.0], 6.0),
            ],
        ),
        (
            "a 7 with a bar",
            &[
                ([80.0, 40.0], [220.0, 40.0], 15.0),
                ([220.0, 40.0], [120.0, 240.0], 15.0),
                ([60.0, 140.0], [235.0, 140.0], 6.0),
            ],
        ),
    ];
    for (name, drawn) in digits {
        check(name, &strokes((280, 280), drawn));
    }
    // A 1 with a long flag, in a long picture.
    let one = [
        ([30.0, 2.0], [30.0, 248.0], 8.0),
        ([30.0, 20.0], [8.0, 140.0], 8.0),
    ];
    check("a 1", &strokes((40, 250), &one));
}
