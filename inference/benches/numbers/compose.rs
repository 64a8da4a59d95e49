//! Composes numbers from images of digits: of different sizes, beside each other, slanted.

use digits_picture::plane::Plane;
use fastrand::Rng;

/// Side of a digit's image.
const SIDE: usize = 28;
/// Longest side of the digit in it.
const DIGIT_SIDE: f32 = 20.0;
/// The sizes of the digits of a number differ by this share to both sides.
const SIZES: f32 = 0.2;
/// Digits are up or down by this share of the height.
const BASELINE: f32 = 0.05;
/// Largest slant, in columns a row, to both sides.
const SLANT: f32 = 0.25;

/// The ink of digits beside each other, their boxes `gap` of the height apart; negative if they
/// overlap. A digit is about `height` high.
pub fn number(digits: &[&[u8]], gap: f32, height: usize, rng: &mut Rng) -> Plane {
    let mut between = |low: f32, high: f32| low + (high - low) * rng.f32();
    let slant = between(-SLANT, SLANT);
    let digits: Vec<Plane> = digits
        .iter()
        .map(|digit| {
            let size = height as f32 / DIGIT_SIDE * between(1.0 - SIZES, 1.0 + SIZES);
            let digit = cut_out(&Plane::from_bytes(SIDE, SIDE, digit));
            let scaled = |length: usize| ((length as f32 * size) as usize).max(1);
            let large = digit.resized(scaled(digit.width), scaled(digit.height));
            large.map(|ink| ink.clamp(0.0, 1.0))
        })
        .collect();
    let high = 3 * height / 2;
    let lean = (SLANT * high as f32) as usize + 1;
    let wide: usize = digits.iter().map(|digit| digit.width + height).sum();
    let mut all = Plane::filled(wide + 2 * lean, high, 0.0);
    let mut left = lean as f32;
    for digit in &digits {
        let down = between(-BASELINE, BASELINE) * height as f32;
        let top = (high - digit.height) as f32 / 2.0 + down;
        for (y, row) in digit.rows().enumerate() {
            let start = (top as usize + y) * all.width + left.max(0.0) as usize;
            let to = &mut all.values[start..];
            to.iter_mut()
                .zip(row)
                .for_each(|(to, ink)| *to = to.max(*ink));
        }
        left += digit.width as f32 + gap * height as f32;
    }
    cut_out(&slanted(&all, slant))
}

/// Each row shifted by `slant` times its distance from the middle.
fn slanted(plane: &Plane, slant: f32) -> Plane {
    let mut out = Plane::filled(plane.width, plane.height, 0.0);
    let rows = out.values.chunks_exact_mut(plane.width).zip(plane.rows());
    for (y, (out, row)) in rows.enumerate() {
        let shift = slant * (y as f32 - plane.height as f32 / 2.0);
        let (whole, part) = (shift.floor(), shift - shift.floor());
        let at = |x: usize, offset: isize| {
            let source = x.checked_add_signed(whole as isize + offset);
            source.and_then(|x| row.get(x)).copied().unwrap_or(0.0)
        };
        for (x, value) in out.iter_mut().enumerate() {
            *value = at(x, 0) * (1.0 - part) + at(x, 1) * part;
        }
    }
    out
}

/// The part that has ink.
fn cut_out(plane: &Plane) -> Plane {
    let inked: Vec<usize> = (0..plane.values.len())
        .filter(|&at| plane.values[at] > 0.0)
        .collect();
    let bounds = |of: &dyn Fn(usize) -> usize| {
        let all = || inked.iter().map(|&at| of(at));
        let first = all().min().unwrap_or(0);
        (first, all().max().unwrap_or(0) - first + 1)
    };
    let (left, width) = bounds(&|at| at % plane.width);
    let (top, height) = bounds(&|at| at / plane.width);
    let mut cut = Plane::filled(width, height, 0.0);
    for (y, row) in cut.values.chunks_exact_mut(width).enumerate() {
        row.copy_from_slice(&plane.values[(top + y) * plane.width + left..][..width]);
    }
    cut
}
