//! Extremes and means in a square window around each pixel, cut off at the edges; their time does
//! not depend on the window.

use crate::plane::Plane;

/// Which value of a window.
#[derive(Clone, Copy, Debug)]
pub enum Extreme {
    /// The largest.
    Most,
    /// The smallest.
    Least,
}

/// The extreme value in the window of each pixel.
#[must_use]
pub fn extreme(plane: Plane, radius: usize, which: Extreme) -> Plane {
    let more = |a: f32, b: f32| if a > b { a } else { b };
    let less = |a: f32, b: f32| if a < b { a } else { b };
    windowed(plane, |rows, width| match which {
        Extreme::Most => slide(&rows, width, radius, (more, f32::NEG_INFINITY)),
        Extreme::Least => slide(&rows, width, radius, (less, f32::INFINITY)),
    })
}

/// The mean of the window of each pixel.
#[must_use]
pub fn mean(plane: Plane, radius: usize) -> Plane {
    windowed(plane, |rows, width| average(&rows, width, radius))
}

/// Applies `down`, which works along the columns of rows of a length, in both directions.
fn windowed(plane: Plane, down: impl Fn(Vec<f32>, usize) -> Vec<f32>) -> Plane {
    let Plane { width, height, .. } = plane;
    let turned = transposed(&down(plane.values, width), width);
    Plane {
        width,
        height,
        values: transposed(&down(turned, height), height),
    }
}

fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    let mut turned = Vec::with_capacity(values.len());
    for x in 0..width {
        turned.extend(values.iter().skip(x).step_by(width));
    }
    turned
}

/// The extreme of the rows up to `radius` above and below. Extremes of 2, 4, 8… rows are made of two
/// of the half, and those of a window of two that overlap. `pick` comes with what it never picks.
fn slide(
    rows: &[f32],
    width: usize,
    radius: usize,
    (pick, never): (impl Fn(f32, f32) -> f32, f32),
) -> Vec<f32> {
    // Of each row and those below it, as far as there are any; windows begin above the first.
    let mut from = vec![never; radius * width];
    from.extend_from_slice(rows);
    let height = from.len() / width;
    let window = 2 * radius + 1;
    let mut span = 1;
    while 2 * span <= window {
        for y in span..height {
            let (above, below) = from.split_at_mut(y * width);
            let row = &mut above[(y - span) * width..][..width];
            let row = row.iter_mut().zip(&*below);
            row.for_each(|(a, b)| *a = pick(*a, *b));
        }
        span *= 2;
    }
    let mut result = Vec::with_capacity(rows.len());
    for first in 0..height - radius {
        let end = (first + window).min(height);
        let row = |at: usize| &from[at * width..][..width];
        let last = end.saturating_sub(span).max(first);
        let pairs = row(first).iter().zip(row(last));
        result.extend(pairs.map(|(&a, &b)| pick(a, b)));
    }
    result
}

/// The mean of the rows up to `radius` above and below.
fn average(rows: &[f32], width: usize, radius: usize) -> Vec<f32> {
    let height = rows.len() / width;
    let mut sums = vec![0.0; width];
    let mut result = Vec::with_capacity(rows.len());
    let row = |at: usize| &rows[at * width..][..width];
    let mut added = 0;
    for y in 0..height {
        let (first, end) = (y.saturating_sub(radius), (y + radius + 1).min(height));
        for at in added..end {
            sums.iter_mut()
                .zip(row(at))
                .for_each(|(sum, it)| *sum += it);
        }
        added = end;
        if let Some(left) = y.checked_sub(radius + 1) {
            sums.iter_mut()
                .zip(row(left))
                .for_each(|(sum, it)| *sum -= it);
        }
        let share = 1.0 / (end - first) as f32;
        result.extend(sums.iter().map(|sum| sum * share));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_as_looked_at_one_by_one() {
        let (width, height) = (13, 9);
        let values = (0..width * height).map(|at| (at * 7919 % 101) as f32);
        let plane = Plane {
            width,
            height,
            values: values.collect(),
        };
        for radius in [0, 1, 2, 3, 4, 7, 20] {
            let most = extreme(plane.clone(), radius, Extreme::Most);
            let least = extreme(plane.clone(), radius, Extreme::Least);
            let means = mean(plane.clone(), radius);
            for (at, _) in plane.values.iter().enumerate() {
                let (x, y) = (at % width, at / width);
                let rows = y.saturating_sub(radius)..(y + radius + 1).min(height);
                let columns = x.saturating_sub(radius)..(x + radius + 1).min(width);
                let places = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
                let window: Vec<f32> = places.map(|(x, y)| plane.at(x, y)).collect();
                let expected = window.iter().sum::<f32>() / window.len() as f32;
                assert_eq!(most.values[at], window.iter().copied().fold(0.0, f32::max));
                assert_eq!(
                    least.values[at],
                    window.iter().copied().fold(200.0, f32::min)
                );
                assert!(
                    (means.values[at] - expected).abs() < 1e-3,
                    "{radius} at {at}"
                );
            }
        }
    }
}
