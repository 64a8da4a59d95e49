//! Scales and places a digit as MNIST does: the longest side of its box is 20 of 28 pixels, and its
//! centre of mass is at index 14 (not 13.5), up to a shift of whole pixels.

use crate::plane::Plane;

/// Longest side of a digit, of [`SIDE`].
const DIGIT_SIDE: usize = 20;
/// Side of MNIST's images.
const SIDE: usize = 28;

/// Share of a digit's slant that [`place_upright`] takes away: half of it is best, as a digit's ink
/// leans by its form, too.
const UPRIGHT: f32 = 0.5;
/// Largest slant that is taken away, in columns a row.
const MAX_SLANT: f32 = 0.5;

/// The digit, scaled and placed in an image of width × height bytes.
#[must_use]
pub fn place(digit: &Plane, width: usize, height: usize) -> Vec<u8> {
    placed(digit, width, height).to_bytes()
}

/// As [`place`], and less slanted: by half the slant of its ink's second moments.
pub(crate) fn place_upright(digit: &Plane, width: usize, height: usize) -> Vec<u8> {
    let placed = placed(digit, width, height);
    let (_, middle) = centre_of_mass(&placed);
    let slant = (UPRIGHT * slant(&placed)).clamp(-MAX_SLANT, MAX_SLANT);
    let mut upright = Plane::filled(width, height, 0.0);
    let rows = upright.values.chunks_exact_mut(width).zip(placed.rows());
    for (y, (out, row)) in rows.enumerate() {
        let shift = slant * (y as f32 - middle);
        let (whole, part) = (shift.floor() as isize, shift - shift.floor());
        let ink = |x: Option<usize>| x.and_then(|x| row.get(x)).copied().unwrap_or(0.0);
        for (x, value) in out.iter_mut().enumerate() {
            let left = ink(x.checked_add_signed(whole));
            let right = ink(x.checked_add_signed(whole + 1));
            *value = left * (1.0 - part) + right * part;
        }
    }
    upright.to_bytes()
}

/// Columns by which the ink moves to the right with each row.
fn slant(plane: &Plane) -> f32 {
    let (x_mean, y_mean) = centre_of_mass(plane);
    let (mut both, mut down) = (0.0, 0.0);
    for (y, row) in plane.rows().enumerate() {
        let y = y as f32 - y_mean;
        for (x, value) in row.iter().enumerate() {
            both += value * y * (x as f32 - x_mean);
            down += value * y * y;
        }
    }
    if down > 0.0 { both / down } else { 0.0 }
}

fn placed(digit: &Plane, width: usize, height: usize) -> Plane {
    let side = ((width.min(height) * DIGIT_SIDE + SIDE / 2) / SIDE).max(1);
    let longest = digit.width.max(digit.height).max(1);
    let scaled = |length: usize| ((length * side + longest / 2) / longest).clamp(1, side);
    let small = digit
        .resized(scaled(digit.width), scaled(digit.height))
        .map(|value| value.max(0.0));
    let peak = small.values.iter().copied().fold(0.0, f32::max).max(1e-6);
    let small = small.map(|value| value / peak);
    let (x, y) = centre_of_mass(&small);
    let left = offset(width, small.width, x);
    let top = offset(height, small.height, y);
    let mut placed = Plane::filled(width, height, 0.0);
    for (row, values) in small.rows().enumerate() {
        let start = (top + row) * width + left;
        placed.values[start..start + small.width].copy_from_slice(values);
    }
    placed
}

/// Offset that brings the centre of mass nearest to the middle while the digit stays inside.
fn offset(length: usize, digit: usize, centre: f32) -> usize {
    let wanted = ((length / 2) as f32 - centre).round().max(0.0) as usize;
    wanted.min(length - digit)
}

/// (column, row) of the centre of mass, in pixel indices.
#[must_use]
pub fn centre_of_mass(plane: &Plane) -> (f32, f32) {
    let (mut mass, mut x_sum, mut y_sum) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (y, row) in plane.rows().enumerate() {
        for (x, &value) in row.iter().enumerate() {
            mass += f64::from(value);
            x_sum += x as f64 * f64::from(value);
            y_sum += y as f64 * f64::from(value);
        }
    }
    if mass <= 0.0 {
        return ((plane.width / 2) as f32, (plane.height / 2) as f32);
    }
    ((x_sum / mass) as f32, (y_sum / mass) as f32)
}

/// Whether a picture of the input's size has the form of the training set already: a black border,
/// a full peak, and the box and the centre of mass in their places. Such a picture is not changed.
#[must_use]
pub fn is_in_form(plane: &Plane) -> bool {
    let (mut left, mut top, mut right, mut bottom) = (usize::MAX, usize::MAX, 0, 0);
    let mut peak = 0.0_f32;
    for (y, row) in plane.rows().enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, value)| **value > 0.0) {
            (left, top) = (left.min(x), top.min(y));
            (right, bottom) = (right.max(x + 1), bottom.max(y + 1));
            peak = peak.max(row[x]);
        }
    }
    if peak < 0.99 {
        return false;
    }
    let side = (plane.width.min(plane.height) * DIGIT_SIDE + SIDE / 2) / SIDE;
    let inside = left > 0 && top > 0 && right < plane.width && bottom < plane.height;
    let (x, y) = centre_of_mass(plane);
    let centred = |at: f32, length: usize| (at - (length / 2) as f32).abs() <= 1.0;
    inside
        && (right - left).max(bottom - top) == side
        && centred(x, plane.width)
        && centred(y, plane.height)
}
