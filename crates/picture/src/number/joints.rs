//! Finds the columns at which two digits lean on each other: a path of little ink goes round such a
//! joint, for the strokes run along it, but there the ink is lower than on both sides.

use crate::plane::Plane;

/// Ink above this is of a digit.
const INK: f32 = 0.5;
/// How far the sides reach, in shares of the height.
const REACH: f32 = 0.25;
/// The ink at a joint is lower than on both sides by this share of the height, at least.
const MIN_DEPTH: f32 = 0.2;
/// Largest height of the ink at a joint, in shares of the height.
const MAX_HEIGHT: f32 = 0.7;
/// Columns to both sides of which none may be lower.
const NEAR: usize = 3;

/// Columns of the joints, from left to right; `unit` is the height of the line.
pub(super) fn joints(small: &Plane, unit: f32) -> Vec<usize> {
    let heights: Vec<usize> = (0..small.width).map(|x| height(small, x)).collect();
    let columns = 0..small.width;
    columns.filter(|&x| is_joint(&heights, x, unit)).collect()
}

/// Rows from the highest to the lowest ink of a column.
fn height(small: &Plane, x: usize) -> usize {
    let is_inked = |&y: &usize| small.values[y * small.width + x] > INK;
    let first = (0..small.height).find(is_inked);
    let last = (0..small.height).rfind(is_inked);
    first.zip(last).map_or(0, |(first, last)| last + 1 - first)
}

fn is_joint(heights: &[usize], x: usize, unit: f32) -> bool {
    let here = heights[x];
    let (left, right) = (&heights[..x], &heights[x + 1..]);
    // The first of equal ones.
    let is_lowest = left.iter().rev().take(NEAR).all(|&height| height >= here)
        && right.iter().take(NEAR).all(|&height| height > here);
    let reach = (REACH * unit) as usize;
    let left = left.iter().rev().take(reach).max();
    let right = right.iter().take(reach).max();
    let side = left.min(right).copied().unwrap_or(0) as f32;
    here > 0
        && is_lowest
        && here as f32 <= MAX_HEIGHT * unit
        && side - here as f32 >= MIN_DEPTH * unit
}
