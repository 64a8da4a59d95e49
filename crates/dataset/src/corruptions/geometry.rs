//! Affine changes around the middle of the image; pixels from outside the image are background.

use super::Plane;
use crate::random::Random;

/// Angle between slanted and upright, in radians.
const SHEAR: f32 = 0.4;
/// Size of the digit as a share of what it was.
const SCALE: f32 = 0.7;
/// In radians.
const ROTATION: f32 = 0.4;
/// Along both axes, in pixels.
const SHIFT: f32 = 3.0;

/// Source position of a result pixel, both as (column, row) from the middle.
struct Source {
    columns: [f32; 2],
    rows: [f32; 2],
    shift: [f32; 2],
}

fn warp(image: &Plane, source: &Source) -> Plane {
    let middle_row = (image.height as f32 - 1.0) / 2.0;
    let middle_column = (image.width as f32 - 1.0) / 2.0;
    image.filtered(|row, column| {
        let (x, y) = (column as f32 - middle_column, row as f32 - middle_row);
        let from_column = source.columns[0] * x + source.columns[1] * y + source.shift[0];
        let from_row = source.rows[0] * x + source.rows[1] * y + source.shift[1];
        image.between(from_row + middle_row, from_column + middle_column)
    })
}

/// To the left or to the right.
pub(super) fn shear(image: &Plane, random: &mut Random) -> Plane {
    let angle = SHEAR * random.sign();
    let source = Source {
        columns: [1.0, -libm::sinf(angle)],
        rows: [0.0, libm::cosf(angle)],
        shift: [0.0; 2],
    };
    warp(image, &source)
}

/// The one corruption of the geometry that is the same for all images.
pub(super) fn scale(image: &Plane) -> Plane {
    let source = Source {
        columns: [1.0 / SCALE, 0.0],
        rows: [0.0, 1.0 / SCALE],
        shift: [0.0; 2],
    };
    warp(image, &source)
}

/// To the left or to the right.
pub(super) fn rotate(image: &Plane, random: &mut Random) -> Plane {
    let angle = ROTATION * random.sign();
    let (sine, cosine) = (libm::sinf(angle), libm::cosf(angle));
    let source = Source {
        columns: [cosine, -sine],
        rows: [sine, cosine],
        shift: [0.0; 2],
    };
    warp(image, &source)
}

/// Along a diagonal.
pub(super) fn translate(image: &Plane, random: &mut Random) -> Plane {
    let source = Source {
        columns: [1.0, 0.0],
        rows: [0.0, 1.0],
        shift: [SHIFT * random.sign(), SHIFT * random.sign()],
    };
    warp(image, &source)
}
