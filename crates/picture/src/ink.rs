//! Segments ink from paper: background and threshold.
//!
//! The result is light ink on black, whatever the picture was.

use crate::{
    edge, frame,
    levels::{PEAK_SHARE, otsu, percentile},
    plane::Plane,
    polarity::{self, Paper},
    trend,
};

/// Peak loss of reflectance under which a picture is blank.
const BLANK_LOSS: f32 = 0.12;
/// Longest side at which the background is estimated.
const BACKGROUND_SIDE: usize = 96;
/// Least background that is divided by.
const BACKGROUND_FLOOR: f32 = 0.1;
/// Start of the ramp, in shares of Otsu's threshold.
const RAMP_START: f32 = 0.7;

/// Ink from 0 to 1, without printed lines; `None` if the picture is blank. `planes` are the channels,
/// all of one size.
#[must_use]
pub fn find(planes: &[Plane]) -> Option<Plane> {
    let losses = planes.iter().filter_map(loss_of_channel);
    // A yellow pen is visible in blue alone: use the channel that lost the most.
    let mut loss = losses.reduce(|mut most, other| {
        most.values
            .iter_mut()
            .zip(&other.values)
            .for_each(|(a, b)| *a = a.max(*b));
        most
    })?;
    if percentile(&loss.values, 1.0 - PEAK_SHARE) < BLANK_LOSS {
        return None;
    }
    let ink = ramp(&loss);
    let printed = frame::lines(&ink);
    if printed.is_empty() {
        return Some(ink);
    }
    // The lines had a part in the threshold.
    printed.iter().for_each(|&pixel| loss.values[pixel] = 0.0);
    Some(ramp(&loss))
}

/// Share of the light that ink absorbs in one channel; `None` if all is background.
fn loss_of_channel(plane: &Plane) -> Option<Plane> {
    let Paper { plane, level } = polarity::dark_on_light(&edge::without_lines(plane))?;
    let background = match level {
        Some(level) => Plane::filled(plane.width, plane.height, level),
        None => background(&plane),
    };
    Some(loss(&plane, &background))
}

/// Share of the background's light that ink absorbs, from 0 to 1.
#[must_use]
pub fn loss(paper: &Plane, background: &Plane) -> Plane {
    let mut loss = paper.clone();
    for (value, behind) in loss.values.iter_mut().zip(&background.values) {
        *value = (1.0 - *value / behind.max(BACKGROUND_FLOOR)).clamp(0.0, 1.0);
    }
    loss
}

/// Light of the paper behind the ink: a smooth surface, times a grey-scale closing of what is left,
/// at reduced size. Its window is a quarter of the side, well above the width of a stroke.
#[must_use]
pub fn background(paper: &Plane) -> Plane {
    let light = trend::of(paper).map(|light| light.max(BACKGROUND_FLOOR));
    let even = times(paper, &light.map(|light| 1.0 / light));
    let small = even.reduced(BACKGROUND_SIDE);
    let radius = (small.width.max(small.height) / 8).max(1);
    let closed = extreme(&extreme(&small, radius, f32::max), radius, f32::min);
    let smooth = mean(&closed, radius / 2).resized(paper.width, paper.height);
    times(&smooth, &light)
}

/// The elementwise product of two planes of one size.
fn times(plane: &Plane, other: &Plane) -> Plane {
    let mut product = plane.clone();
    for (value, factor) in product.values.iter_mut().zip(&other.values) {
        *value *= factor;
    }
    product
}

/// The extreme value in a square window around each pixel, cut off at the edges.
fn extreme(plane: &Plane, radius: usize, pick: fn(f32, f32) -> f32) -> Plane {
    windowed(plane, radius, |window| {
        window.iter().copied().reduce(pick).unwrap_or(0.0)
    })
}

/// The mean in a square window.
fn mean(plane: &Plane, radius: usize) -> Plane {
    windowed(plane, radius, |window| {
        window.iter().sum::<f32>() / window.len() as f32
    })
}

/// Applies `of` to windows along rows, then along columns.
fn windowed(plane: &Plane, radius: usize, of: impl Fn(&[f32]) -> f32) -> Plane {
    let along = |plane: &Plane| {
        let mut turned = Plane::filled(plane.height, plane.width, 0.0);
        for (y, row) in plane.rows().enumerate() {
            for x in 0..row.len() {
                let window = &row[x.saturating_sub(radius)..(x + radius + 1).min(row.len())];
                turned.values[x * plane.height + y] = of(window);
            }
        }
        turned
    };
    along(&along(plane))
}

/// Ink from 0 to 1 by the loss of light: 0 below the start of the ramp, 1 from the median of the
/// ink on, so that soft edges stay soft.
#[must_use]
pub fn ramp(loss: &Plane) -> Plane {
    let threshold = otsu(&loss.values);
    let inked: Vec<f32> = loss
        .values
        .iter()
        .copied()
        .filter(|&value| value > threshold)
        .collect();
    let full = percentile(&inked, 0.5);
    let start = RAMP_START * threshold;
    let range = (full - start).max(1e-3);
    loss.map(|value| ((value - start) / range).clamp(0.0, 1.0))
}
