//! Uneven light: a surface of the second degree, fitted to the background of a picture.
//!
//! It models a lamp and a lens, not creases and shadows. Those are left to the closing in `ink`,
//! which in turn cannot distinguish light that falls off towards an edge from ink at that edge.

use crate::plane::Plane;

/// Longest side at which the surface is fitted.
const FIT_SIDE: usize = 48;
/// Iterations of reweighting.
const ROUNDS: usize = 8;
/// Least scale of the weights, in shares of the range: noise is not ink.
const SCALE_FLOOR: f64 = 0.01;
/// Terms of the surface: 1, x, y, x², xy, y².
const TERMS: usize = 6;

/// The light of the background at every pixel, from 0 to 1.
///
/// Iteratively reweighted least squares with Cauchy's weights. The first fit is to the border,
/// which seldom has ink.
#[must_use]
pub fn of(plane: &Plane) -> Plane {
    let small = plane.reduced(FIT_SIDE);
    let ring = small.width.min(small.height).div_ceil(12);
    let on_ring = |x: usize, y: usize| {
        x < ring || y < ring || x + ring >= small.width || y + ring >= small.height
    };
    let mut weights: Vec<f64> = pixels(&small)
        .map(|(x, y, _)| f64::from(u8::from(on_ring(x, y))))
        .collect();
    let mut surface = fit(&small, &weights);
    for _ in 0..ROUNDS {
        let off: Vec<f64> = pixels(&small)
            .map(|(x, y, value)| f64::from(value) - surface.at(&small, x, y))
            .collect();
        let scale = spread(&off, &weights).max(SCALE_FLOOR);
        for (weight, off) in weights.iter_mut().zip(&off) {
            *weight = 1.0 / (1.0 + (off / scale).powi(2));
        }
        surface = fit(&small, &weights);
    }
    let mut light = Plane::filled(plane.width, plane.height, 0.0);
    for y in 0..plane.height {
        for x in 0..plane.width {
            light.values[y * plane.width + x] = surface.at(plane, x, y).clamp(0.0, 1.0) as f32;
        }
    }
    light
}

/// (column, row, value) of each pixel.
fn pixels(plane: &Plane) -> impl Iterator<Item = (usize, usize, f32)> {
    let width = plane.width;
    let values = plane.values.iter().enumerate();
    values.map(move |(at, &value)| (at % width, at / width, value))
}

/// Weighted mean of the distances.
fn spread(off: &[f64], weights: &[f64]) -> f64 {
    let sum: f64 = off
        .iter()
        .zip(weights)
        .map(|(off, weight)| off.abs() * weight)
        .sum();
    sum / weights.iter().sum::<f64>().max(1e-9)
}

/// Coefficients of the [`TERMS`], with x and y from -1 to 1 over the plane.
struct Surface([f64; TERMS]);

impl Surface {
    fn at(&self, plane: &Plane, x: usize, y: usize) -> f64 {
        let terms = terms(plane, x, y);
        self.0.iter().zip(terms).map(|(a, term)| a * term).sum()
    }
}

fn terms(plane: &Plane, x: usize, y: usize) -> [f64; TERMS] {
    let along = |at: usize, length: usize| (2 * at + 1) as f64 / length as f64 - 1.0;
    let (x, y) = (along(x, plane.width), along(y, plane.height));
    [1.0, x, y, x * x, x * y, y * y]
}

/// Weighted least squares by the normal equations.
fn fit(plane: &Plane, weights: &[f64]) -> Surface {
    let mut rows = [[0.0; TERMS + 1]; TERMS];
    for ((x, y, value), weight) in pixels(plane).zip(weights) {
        let terms = terms(plane, x, y);
        for (row, a) in rows.iter_mut().zip(terms) {
            for (sum, b) in row.iter_mut().zip(terms) {
                *sum += weight * a * b;
            }
            row[TERMS] += weight * a * f64::from(value);
        }
    }
    // Regularised, because a picture of one row or column does not determine all terms.
    for (index, row) in rows.iter_mut().enumerate() {
        row[index] += 1e-9;
    }
    Surface(solve(rows))
}

/// Gaussian elimination, without pivoting: the matrix is symmetric and positive definite.
fn solve(mut rows: [[f64; TERMS + 1]; TERMS]) -> [f64; TERMS] {
    for index in 0..TERMS {
        let pivot = rows[index];
        for row in &mut rows[index + 1..] {
            let factor = row[index] / pivot[index];
            row.iter_mut()
                .zip(pivot)
                .for_each(|(to, from)| *to -= factor * from);
        }
    }
    let mut solution = [0.0; TERMS];
    for index in (0..TERMS).rev() {
        let known: f64 = (index + 1..TERMS)
            .map(|at| rows[index][at] * solution[at])
            .sum();
        solution[index] = (rows[index][TERMS] - known) / rows[index][index];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with a surface of the second degree as its light.
    fn lit(width: usize, height: usize) -> Plane {
        let mut plane = Plane::filled(width, height, 0.0);
        for y in 0..height {
            for x in 0..width {
                let [_, u, v, uu, uv, vv] = terms(&plane, x, y);
                plane.values[y * width + x] =
                    (0.6 + 0.2 * u - 0.1 * v - 0.1 * uu + 0.05 * uv - 0.05 * vv) as f32;
            }
        }
        plane
    }

    fn furthest(one: &Plane, other: &Plane) -> f32 {
        one.values
            .iter()
            .zip(&other.values)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn uneven_light_is_found_next_to_and_below_ink() {
        let paper = lit(200, 160);
        let mut inked = paper.clone();
        for y in 20..140 {
            for x in 60..110 {
                inked.values[y * 200 + x] *= 0.2;
            }
        }
        let off = furthest(&of(&inked), &paper);
        assert!(off < 0.01, "off by {off}");
    }

    #[test]
    fn even_light_is_exact_at_any_size() {
        for (width, height) in [(1, 1), (1, 50), (3, 2), (28, 28)] {
            let paper = Plane::filled(width, height, 0.7);
            let off = furthest(&of(&paper), &paper);
            assert!(off < 1e-4, "{width} x {height}: off by {off}");
        }
    }
}
