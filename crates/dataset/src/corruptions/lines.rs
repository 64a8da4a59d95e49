//! Lines across the image: dotted, and in a zigzag.

use super::Plane;
use crate::random::Random;

/// Distance, in pixels down a column, at which a line has faded altogether.
const REACH: f32 = 2.3;
/// Columns of a dot and of the gap after it.
const DOT: usize = 2;
/// Length of half a tooth of the zigzag along its line, and its height, in pixels.
const TOOTH: (f32, f32) = (2.0, 2.0);
/// Columns that the zigzag leaves free on either side.
const MARGIN: usize = 2;
/// Rows by which the ends of the zigzag may differ.
const SLOPE: usize = 5;

/// (column, row).
type Point = (f32, f32);

/// Adds what `ink` keeps of a line between two points, the first to the left of the other.
fn add_line(image: &mut Plane, from: Point, to: Point, ink: impl Fn(usize) -> bool) {
    if to.0 <= from.0 {
        return;
    }
    let slope = (to.1 - from.1) / (to.0 - from.0);
    let first = from.0.floor().max(0.0) as usize;
    let end = (to.0.ceil().max(0.0) as usize).min(image.width);
    for column in (first..end).filter(|&column| ink(column)) {
        let middle = from.1 + slope * (column as f32 - from.0);
        for row in 0..image.height {
            let distance = (row as f32 - middle).abs();
            if distance >= REACH {
                continue;
            }
            let grey = libm::logf(1.0 - distance / REACH) + 1.0;
            let value = &mut image.values[row * image.width + column];
            *value = (*value + grey.max(0.0)).min(1.0);
        }
    }
}

/// From border to border, between random rows.
pub(super) fn dotted_line(mut image: Plane, random: &mut Random) -> Plane {
    let rows = image.height.saturating_sub(1).max(1);
    let right = image.width as f32 - 1.0;
    let from = (0.0, random.below(rows) as f32);
    let to = (right, random.below(rows) as f32);
    add_line(&mut image, from, to, |column| (column / DOT) % 2 == 1);
    image
}

/// From a random row on, nearly level.
pub(super) fn zigzag(mut image: Plane, random: &mut Random) -> Plane {
    let rows = image.height.saturating_sub(1).max(1);
    let across = image.width as f32 - 1.0 - 2.0 * MARGIN as f32;
    let start = (MARGIN as f32, random.below(rows) as f32);
    let down = random.below(2 * SLOPE) as f32 - SLOPE as f32;
    if across <= 0.0 {
        return image;
    }
    let length = (across * across + down * down).sqrt();
    let (cosine, sine) = (across / length, down / length);
    let place = |(along, aside): Point| {
        (
            start.0 + along * cosine - aside * sine,
            start.1 + along * sine + aside * cosine,
        )
    };
    let mut from = start;
    let mut side = 1.0;
    let mut along = TOOTH.0;
    while along <= length {
        let to = place((along, side * TOOTH.1));
        add_line(&mut image, from, to, |_| true);
        (from, side) = (to, -side);
        along += 2.0 * TOOTH.0;
    }
    // What is left of the line ends near its middle.
    add_line(&mut image, from, place((length, 0.0)), |_| true);
    image
}
