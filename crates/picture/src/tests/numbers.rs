//! Tests that writing is taken apart into lines and into what may be digits.

use super::{super::*, MNIST, Plane, Seven, canvas, mix};
use crate::number::{Lattice, Line, MAX_SEGMENTS};

const SIZE: (usize, usize) = (28, 28);

/// Ink of rings (centre, radii) and of rectangles (left, top, width, height), 5 pixels thick.
fn drawing(rings: &[[f32; 4]], bars: &[[usize; 4]]) -> Plane {
    let mut plane = Plane::filled(300, 260, 0.0);
    for y in 0..plane.height {
        for x in 0..plane.width {
            let on_ring = rings.iter().any(|[cx, cy, rx, ry]| {
                let (across, down) = ((x as f32 - cx) / rx, (y as f32 - cy) / ry);
                (across.hypot(down) - 1.0).abs() * rx.min(*ry) <= 2.5
            });
            let in_bar = bars.iter().any(|&[left, top, width, height]| {
                (left..left + width).contains(&x) && (top..top + height).contains(&y)
            });
            plane.values[y * plane.width + x] = f32::from(u8::from(on_ring || in_bar));
        }
    }
    plane
}

fn lines(plane: &Plane) -> Vec<Line> {
    Lattice::of(plane, SIZE, MAX_SEGMENTS)
        .expect("few digits")
        .lines
}

/// Whether a segment covers these columns, to 3 pixels.
fn has(line: &Line, left: usize, right: usize) -> bool {
    line.segments.iter().any(|segment| {
        let bounds = segment.bounds;
        bounds.left.abs_diff(left) <= 3 && (bounds.left + bounds.width).abs_diff(right) <= 3
    })
}

#[test]
fn lines_are_read_from_top_to_bottom_and_from_left_to_right() {
    // The second line begins further left, and climbs.
    let bars = [
        [200, 20, 8, 60],
        [120, 24, 8, 60],
        [20, 150, 8, 60],
        [100, 135, 8, 60],
        [180, 120, 8, 60],
    ];
    let lines = lines(&drawing(&[], &bars));
    let lefts = |line: &Line| -> Vec<usize> {
        let segments = line.segments.iter();
        segments.map(|segment| segment.bounds.left).collect()
    };
    let lefts: Vec<Vec<usize>> = lines.iter().map(lefts).collect();
    assert_eq!(lefts, [vec![120, 200], vec![20, 100, 180]]);
}

#[test]
fn each_segment_has_an_input_and_some_cover_the_line() {
    let plane = drawing(
        &[[80.0, 100.0, 25.0, 40.0], [131.0, 100.0, 25.0, 40.0]],
        &[],
    );
    let lattice = Lattice::of(&plane, SIZE, MAX_SEGMENTS).expect("few digits");
    let [line] = &lattice.lines[..] else {
        panic!("{} lines", lattice.lines.len());
    };
    assert_eq!(lattice.inputs.len(), line.segments.len() * 784);
    assert!(lattice.inputs.chunks(784).all(|input| input.contains(&255)));
    let mut reached = vec![false; line.pieces + 1];
    reached[0] = true;
    for segment in &line.segments {
        reached[segment.pieces.end] |= reached[segment.pieces.start];
    }
    assert!(reached[line.pieces]);
}

#[test]
fn touching_digits_are_cut_where_they_touch() {
    let plane = drawing(
        &[[80.0, 100.0, 25.0, 40.0], [132.0, 100.0, 25.0, 40.0]],
        &[],
    );
    let [line] = &lines(&plane)[..] else {
        panic!("one line was expected");
    };
    assert!(has(line, 53, 106), "the left ring: {:?}", line.segments);
    assert!(has(line, 106, 159), "the right ring: {:?}", line.segments);
    assert!(has(line, 53, 159), "both as one: {:?}", line.segments);
    // A cut through a ring costs more than one where the rings touch.
    let cost = |left: usize, right: usize| {
        let found = line.segments.iter().filter(|segment| {
            let bounds = segment.bounds;
            bounds.left.abs_diff(left) <= 3 && (bounds.left + bounds.width).abs_diff(right) <= 3
        });
        found.map(|segment| segment.cost).fold(f32::MAX, f32::min)
    };
    assert!(cost(53, 106) + cost(106, 159) < cost(53, 159) + 1.0);
}

#[test]
fn narrow_and_separate_digits_are_not_cut() {
    let plane = drawing(
        &[[60.0, 100.0, 16.0, 40.0], [140.0, 100.0, 16.0, 40.0]],
        &[[200, 60, 8, 80]],
    );
    let [line] = &lines(&plane)[..] else {
        panic!("one line was expected");
    };
    assert_eq!((line.pieces, line.segments.len()), (3, 3), "{line:?}");
}

#[test]
fn parts_of_a_digit_stay_with_it() {
    // A bar above the body, as that of a 5, closer to it than to its neighbour.
    let bars = [[60, 80, 8, 80], [70, 66, 30, 8], [140, 70, 8, 90]];
    let [line] = &lines(&drawing(&[], &bars))[..] else {
        panic!("one line was expected");
    };
    assert!(has(line, 60, 100) && has(line, 140, 148), "{line:?}");
    assert_eq!(line.pieces, 2);
}

#[test]
fn the_halves_of_a_broken_digit_are_one() {
    // Beside a digit of their height; the lower half begins where the upper one ends.
    let halves = [[60, 60, 8, 44], [63, 106, 8, 44]];
    let [line] = &lines(&drawing(&[], &[&halves[..], &[[140, 60, 8, 90]]].concat()))[..] else {
        panic!("one line was expected");
    };
    assert_eq!(line.pieces, 2, "{line:?}");
    // Two digits of the height of their neighbours are in two lines.
    let neighbours = [[140, 60, 8, 44], [140, 106, 8, 44]];
    let two = lines(&drawing(&[], &[&halves[..], &neighbours].concat()));
    assert_eq!(two.len(), 2, "{two:?}");
}

#[test]
fn digits_are_set_upright_by_half_their_slant() {
    let slanted = |slant: f32| {
        let mut digit = Plane::filled(60, 60, 0.0);
        for y in 0..60 {
            let middle = 30.0 + slant * (y as f32 - 29.5);
            (0..60)
                .filter(|&x| (x as f32 - middle).abs() < 3.0)
                .for_each(|x| {
                    digit.values[y * 60 + x] = 1.0;
                });
        }
        place::place_upright(&digit, 28, 28)
    };
    let centre = |image: &[u8], row: usize| {
        let row = image[28 * row..28 * (row + 1)].iter().enumerate();
        let (sum, ink) = row.fold((0.0, 0.0), |(sum, ink), (x, &value)| {
            (sum + x as f32 * f32::from(value), ink + f32::from(value))
        });
        sum / ink
    };
    for (slant, expected) in [(0.0, 0.0), (0.4, 0.2), (-0.4, -0.2), (0.8, 0.4)] {
        let image = slanted(slant);
        let left = (centre(&image, 20) - centre(&image, 8)) / 12.0;
        assert!((left - expected).abs() < 0.05, "{slant}: {left}");
    }
}

#[test]
fn too_many_digits_get_their_boxes_alone() {
    let bars: Vec<[usize; 4]> = (0..35).map(|at| [8 * at + 4, 20, 3, 10]).collect();
    assert_eq!(Lattice::of(&drawing(&[], &bars), SIZE, MAX_SEGMENTS), None);
    let blank = Lattice::of(&drawing(&[], &[]), SIZE, MAX_SEGMENTS);
    assert!(blank.is_some_and(|lattice| lattice.lines.is_empty()));
}

#[test]
fn boxes_are_in_pixels_of_the_picture() {
    let sevens = [30.0, 180.0].map(|left| Seven {
        left,
        top: 80.0,
        unit: 60.0,
        pen: 8.0,
    });
    let picture = canvas(&sevens, |_, _, ink| mix(ink, [255.0; 3], [0.0; 3]));
    let Normalized::Several(expected) = MNIST.picture(&picture) else {
        panic!("several were expected");
    };
    let Normalized::Written(lattice) = MNIST.number(&picture, MAX_SEGMENTS) else {
        panic!("writing was expected");
    };
    let segments = lattice.lines.iter().flat_map(|line| &line.segments);
    let boxes: Vec<_> = segments.map(|segment| segment.bounds).collect();
    for bounds in expected {
        assert!(boxes.contains(&bounds), "{bounds:?} in {boxes:?}");
    }
}
