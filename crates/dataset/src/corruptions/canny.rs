//! Edges after Canny ("A computational approach to edge detection", 1986): smoothed gradient,
//! thinned to its crests, kept where it is strong or is connected to a strong edge.

use super::Plane;
use super::plane::{gaussian, weighted};

/// Standard deviation of the smoothing, in pixels.
const SIGMA: f32 = 1.0;
/// Lower threshold: a gradient maximum below it is not an edge.
const WEAK: f32 = 0.1;
/// Upper threshold: a gradient maximum from it on is an edge by itself.
const STRONG: f32 = 0.2;

/// 1 on edges, else 0.
pub(super) fn edges(image: &Plane) -> Plane {
    let (down, across) = gradient(&smoothed(image));
    let magnitude = down.filtered(|row, column| {
        let (down, across) = (down.nearest(row, column), across.nearest(row, column));
        (down * down + across * across).sqrt()
    });
    let crests = magnitude.filtered(|row, column| {
        let direction = (down.nearest(row, column), across.nearest(row, column));
        if is_crest(&magnitude, (row, column), direction) {
            magnitude.nearest(row, column)
        } else {
            0.0
        }
    });
    connected(&crests)
}

/// Blurred, with only what lies inside the image taken into account.
fn smoothed(image: &Plane) -> Plane {
    let kernel = gaussian(SIGMA);
    let blurred = |plane: &Plane| {
        let down = plane.filtered(|row, column| {
            weighted(&kernel, |offset| {
                plane.get(row + offset, column).unwrap_or(0.0)
            })
        });
        down.filtered(|row, column| {
            weighted(&kernel, |offset| {
                down.get(row, column + offset).unwrap_or(0.0)
            })
        })
    };
    let mut inside = Plane::zeros(image.height, image.width);
    inside.map(|_| 1.0);
    let weight = blurred(&inside);
    let mut sum = blurred(image);
    for (value, weight) in sum.values.iter_mut().zip(weight.values) {
        *value /= weight;
    }
    sum
}

/// By Sobel's filter: down the rows and across the columns.
fn gradient(image: &Plane) -> (Plane, Plane) {
    let sum = |a: f32, b: f32, c: f32| a + 2.0 * b + c;
    let at = |row, column| image.nearest(row, column);
    let along_row =
        |row: isize, column: isize| sum(at(row, column - 1), at(row, column), at(row, column + 1));
    let along_column =
        |row: isize, column: isize| sum(at(row - 1, column), at(row, column), at(row + 1, column));
    (
        image.filtered(|row, column| along_row(row + 1, column) - along_row(row - 1, column)),
        image.filtered(|row, column| along_column(row, column + 1) - along_column(row, column - 1)),
    )
}

/// Whether the magnitude, followed along its direction to both sides, nowhere grows; never on the
/// border.
fn is_crest(magnitude: &Plane, (row, column): (isize, isize), (down, across): (f32, f32)) -> bool {
    let inside = |at: isize, size: usize| at > 0 && at + 1 < size as isize;
    if !inside(row, magnitude.height) || !inside(column, magnitude.width) {
        return false;
    }
    let here = magnitude.nearest(row, column);
    if here < WEAK {
        return false;
    }
    let sign = |value: f32| if value < 0.0 { -1 } else { 1 };
    let (to_row, to_column) = (sign(down), sign(across));
    // The direction meets the ring of neighbours between a straight one and a diagonal one.
    let (straight, share) = if down.abs() >= across.abs() {
        ((to_row, 0), across.abs() / down.abs())
    } else {
        ((0, to_column), down.abs() / across.abs())
    };
    [1, -1].into_iter().all(|side| {
        let at = |(rows, columns): (isize, isize)| {
            magnitude.nearest(row + side * rows, column + side * columns)
        };
        at((to_row, to_column)) * share + at(straight) * (1.0 - share) <= here
    })
}

/// Strong crests, and weak ones that touch an edge.
fn connected(crests: &Plane) -> Plane {
    let mut edges = Plane::zeros(crests.height, crests.width);
    let mut open: Vec<usize> = (0..crests.values.len())
        .filter(|&at| crests.values[at] >= STRONG)
        .collect();
    for &at in &open {
        edges.values[at] = 1.0;
    }
    while let Some(at) = open.pop() {
        let (row, column) = ((at / crests.width) as isize, (at % crests.width) as isize);
        for (rows, columns) in
            (-1..=1).flat_map(|rows| (-1..=1).map(move |columns| (rows, columns)))
        {
            let Some(crest) = crests.get(row + rows, column + columns) else {
                continue;
            };
            let neighbour = at.wrapping_add_signed(rows * crests.width as isize + columns);
            if crest >= WEAK && edges.values[neighbour] == 0.0 {
                edges.values[neighbour] = 1.0;
                open.push(neighbour);
            }
        }
    }
    edges
}
