//! Fog: a corner of a cloudy field, drawn by the diamond-square algorithm (Fournier, Fussell,
//! Carpenter: "Computer rendering of stochastic models", 1982) on a torus.

use super::Plane;
use crate::random::Random;

/// Density of the fog against full ink.
const DENSITY: f32 = 3.0;
/// Divisor of the roughness at every halving of the grid.
const DECAY: f32 = 1.4;
/// Unevenness of the coarsest grid.
const UNEVENNESS: f32 = 100.0;
/// Side of the field, in pixels; a power of two. Larger images take a larger one.
const FIELD: usize = 256;

/// Lays fog over the image and dims both to the range of the image.
pub(super) fn fog(mut image: Plane, random: &mut Random) -> Plane {
    let side = image.height.max(image.width).next_power_of_two().max(FIELD);
    let field = clouds(side, random);
    let peak = image.values.iter().copied().fold(0.0, f32::max);
    let dimmed = peak / (peak + DENSITY);
    let width = image.width;
    for (row, values) in image.values.chunks_exact_mut(width).enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            *value = (*value + DENSITY * field[row * side + column]) * dimmed;
        }
    }
    image
}

/// [side, side] from 0 to 1: what lies between points of the grid is their mean and a random part
/// that shrinks with the grid.
fn clouds(side: usize, random: &mut Random) -> Vec<f32> {
    let mut field = vec![0.0_f32; side * side];
    let mut step = side;
    let mut unevenness = UNEVENNESS;
    while step >= 2 {
        let half = step / 2;
        // Indices wrap, and the side is a power of two.
        let at = |row: usize, column: usize| (row & (side - 1)) * side + (column & (side - 1));
        let spread = unevenness * unevenness;
        // The middle of every square, from its corners.
        for row in (half..side).step_by(step) {
            for column in (half..side).step_by(step) {
                let sum = field[at(row - half, column - half)]
                    + field[at(row - half, column + half)]
                    + field[at(row + half, column - half)]
                    + field[at(row + half, column + half)];
                field[at(row, column)] = sum / 4.0 + random.between(-spread, spread);
            }
        }
        // The middle of every edge, from its ends and the middles on both sides of it.
        for row in (0..side).step_by(half) {
            let first = if row % step == 0 { half } else { 0 };
            for column in (first..side).step_by(step) {
                let sum = field[at(row + side - half, column)]
                    + field[at(row + half, column)]
                    + field[at(row, column + side - half)]
                    + field[at(row, column + half)];
                field[at(row, column)] = sum / 4.0 + random.between(-spread, spread);
            }
        }
        step = half;
        unevenness /= DECAY;
    }
    let (low, high) = field
        .iter()
        .fold((f32::MAX, f32::MIN), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
    let range = high - low;
    field
        .iter_mut()
        .for_each(|value| *value = (*value - low) / range);
    field
}
