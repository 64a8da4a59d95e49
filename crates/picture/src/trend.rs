//! Uneven light: a surface of the second degree, fitted to the background of a picture.
//!
//! It models a lamp and a lens, not creases and shadows. Those are left to the closing in `ink`,
//! which in turn cannot distinguish light that falls off towards an edge from ink at that edge.

use crate::plane::Plane;

/// Longest side at which the surface is fitted.
const FIT_SIDE: usize = 64;
/// Iterations of reweighting at most, and the change of a coefficient under which they end.
const ROUNDS: usize = 8;
const SETTLED: f64 = 1e-4;
/// Least scale of the weights, in shares of the range: noise is not ink.
const SCALE_FLOOR: f32 = 0.01;
/// Terms of the surface: 1, x, y, x², xy, y²; and their powers of x and y.
const TERMS: usize = 6;
const POWERS: [(usize, usize); TERMS] = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)];
/// Powers of y whose weighted sums the equations have, without and with the values.
const SUMS: usize = 5;
const VALUE_SUMS: usize = 3;

/// The light of the background: a surface over a picture of any size.
///
/// Coefficients of the [`TERMS`], with x and y from -1 to 1 over the picture.
#[derive(Clone, Copy, Debug)]
pub struct Surface([f64; TERMS]);

impl Surface {
    /// Fits the surface to the background; a picture that was halved has the same surface.
    ///
    /// Iteratively reweighted least squares with Cauchy's weights. The first fit is to the border,
    /// which seldom has ink.
    #[must_use]
    pub fn of(plane: &Plane) -> Self {
        let small = plane.halved_to(FIT_SIDE);
        let columns = places(small.width);
        let mut weights = on_ring(&small);
        let mut surface = fit(&small, &columns, &weights);
        let mut off = vec![0.0; small.values.len()];
        for _ in 0..ROUNDS {
            for (y, (off, row)) in off
                .chunks_exact_mut(small.width)
                .zip(small.rows())
                .enumerate()
            {
                surface.row(&columns, place(y, small.height), off);
                off.iter_mut()
                    .zip(row)
                    .for_each(|(off, value)| *off = value - *off);
            }
            let scale = spread(&off, &weights).max(SCALE_FLOOR);
            for (weight, off) in weights.iter_mut().zip(&off) {
                let off = off / scale;
                *weight = 1.0 / (1.0 + off * off);
            }
            let next = fit(&small, &columns, &weights);
            let changes = next.0.iter().zip(surface.0).map(|(a, b)| (a - b).abs());
            let change = changes.fold(0.0, f64::max);
            surface = next;
            if change < SETTLED {
                break;
            }
        }
        surface
    }

    /// That of the picture with its values inverted.
    #[must_use]
    pub fn inverted(mut self) -> Self {
        self.0.iter_mut().for_each(|term| *term = -*term);
        self.0[0] += 1.0;
        self
    }

    /// Calls `row` with the light of each row of a picture, from 0 to 1.
    pub fn rows(&self, width: usize, height: usize, mut row: impl FnMut(usize, &[f32])) {
        let columns = places(width);
        let mut light = vec![0.0; width];
        for y in 0..height {
            self.row(&columns, place(y, height), &mut light);
            light.iter_mut().for_each(|it| *it = it.clamp(0.0, 1.0));
            row(y, &light);
        }
    }

    /// Its values at the columns of a row.
    fn row(&self, columns: &[f32], y: f32, out: &mut [f32]) {
        let [one, x, down, xx, xy, yy] = self.0.map(|term| term as f32);
        let (constant, linear) = (one + (down + yy * y) * y, x + xy * y);
        for (out, x) in out.iter_mut().zip(columns) {
            *out = constant + (linear + xx * x) * x;
        }
    }
}

/// Place of a pixel's centre, from -1 to 1.
fn place(at: usize, length: usize) -> f32 {
    ((2 * at + 1) as f64 / length as f64 - 1.0) as f32
}

fn places(length: usize) -> Vec<f32> {
    (0..length).map(|at| place(at, length)).collect()
}

/// Weights of 1 along the border.
fn on_ring(plane: &Plane) -> Vec<f32> {
    let ring = plane.width.min(plane.height).div_ceil(12);
    let near = |at: usize, length: usize| at < ring || at + ring >= length;
    let mut weights = Vec::with_capacity(plane.values.len());
    for y in 0..plane.height {
        let row = (0..plane.width).map(|x| near(x, plane.width) || near(y, plane.height));
        weights.extend(row.map(|near| f32::from(u8::from(near))));
    }
    weights
}

/// Weighted mean of the distances.
fn spread(off: &[f32], weights: &[f32]) -> f32 {
    let (mut sum, mut total) = ([0.0_f32; 8], [0.0_f32; 8]);
    let (off, weights) = (off.chunks(8), weights.chunks(8));
    for (off, weights) in off.zip(weights) {
        for (lane, (off, weight)) in off.iter().zip(weights).enumerate() {
            sum[lane] += off.abs() * weight;
            total[lane] += weight;
        }
    }
    sum.iter().sum::<f32>() / total.iter().sum::<f32>().max(1e-9)
}

/// Weighted least squares by the normal equations. Their sums are first made along the columns.
fn fit(plane: &Plane, columns: &[f32], weights: &[f32]) -> Surface {
    let width = plane.width;
    let mut sums = vec![0.0_f32; (SUMS + VALUE_SUMS) * width];
    for (y, (values, weights)) in plane.rows().zip(weights.chunks_exact(width)).enumerate() {
        let y = place(y, plane.height);
        let mut power = 1.0;
        for (j, sums) in sums.chunks_exact_mut(width).take(SUMS).enumerate() {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += power * weight;
            }
            power = if j + 1 < SUMS { power * y } else { 1.0 };
        }
        for sums in sums.chunks_exact_mut(width).skip(SUMS) {
            for ((sum, weight), value) in sums.iter_mut().zip(weights).zip(values) {
                *sum += power * weight * value;
            }
            power *= y;
        }
    }
    let mut moments = [[0.0; SUMS]; SUMS + VALUE_SUMS];
    for (moments, sums) in moments.iter_mut().zip(sums.chunks_exact(width)) {
        for (&sum, &x) in sums.iter().zip(columns) {
            let mut power = f64::from(sum);
            for moment in moments.iter_mut() {
                *moment += power;
                power *= f64::from(x);
            }
        }
    }
    let mut rows = [[0.0; TERMS + 1]; TERMS];
    for (row, (x, y)) in rows.iter_mut().zip(POWERS) {
        for (value, (by_x, by_y)) in row.iter_mut().zip(POWERS) {
            *value = moments[y + by_y][x + by_x];
        }
        row[TERMS] = moments[SUMS + y][x];
    }
    // Regularised, because a picture of one row or column does not determine all terms.
    for (index, row) in rows.iter_mut().enumerate() {
        row[index] += 1e-6;
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

    fn of(plane: &Plane) -> Plane {
        light(Surface::of(plane), plane.width, plane.height)
    }

    fn light(surface: Surface, width: usize, height: usize) -> Plane {
        let mut light = Plane::filled(width, height, 0.0);
        surface.rows(width, height, |y, row| {
            light.values[y * width..][..width].copy_from_slice(row);
        });
        light
    }

    /// A picture with a surface of the second degree as its light.
    fn lit(width: usize, height: usize) -> Plane {
        light(Surface([0.6, 0.2, -0.1, -0.1, 0.05, -0.05]), width, height)
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
