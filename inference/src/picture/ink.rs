//! Segments ink from paper: polarity, background, threshold.
//!
//! The result is light ink on black, whatever the picture was.

use super::{plane::Plane, trend};

/// Peak departure from the background, in shares of the range, under which a picture is blank.
const BLANK_DEPARTURE: f32 = 0.06;
/// Peak loss of reflectance under which a picture is blank.
const BLANK_LOSS: f32 = 0.12;
/// Share of the pixels that peaks leave out, because single hot pixels are not ink.
const PEAK_SHARE: f32 = 0.000_5;
/// Longest side at which the background is estimated.
const BACKGROUND_SIDE: usize = 96;
/// Least background that is divided by.
const BACKGROUND_FLOOR: f32 = 0.1;
/// Start of the ramp, in shares of Otsu's threshold.
const RAMP_START: f32 = 0.7;

/// Ink from 0 to 1; `None` if the picture is blank. `planes` are the channels, all of one size.
#[must_use]
pub fn find(planes: &[Plane]) -> Option<Plane> {
    let losses: Vec<Plane> = planes.iter().filter_map(loss_of_channel).collect();
    // A yellow pen is visible in blue alone: use the channel that lost the most.
    let loss = losses.into_iter().reduce(|mut most, other| {
        most.values
            .iter_mut()
            .zip(&other.values)
            .for_each(|(a, b)| *a = a.max(*b));
        most
    })?;
    if percentile(&loss.values, 1.0 - PEAK_SHARE) < BLANK_LOSS {
        return None;
    }
    Some(ramp(&loss))
}

/// Share of the light that ink absorbs in one channel; `None` if all is background.
fn loss_of_channel(plane: &Plane) -> Option<Plane> {
    let paper = dark_on_light(plane)?;
    Some(loss(&paper, &background(&paper)))
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

/// The channel, inverted if needed so that its background is light; `None` if all is background.
///
/// The median of the border decides if it is clearly light or dark. Otherwise ink is on the side
/// that departs further from the light of the background.
#[must_use]
pub fn dark_on_light(plane: &Plane) -> Option<Plane> {
    let background = border_median(plane);
    let light = trend::of(plane);
    let departures: Vec<f32> = plane
        .values
        .iter()
        .zip(&light.values)
        .map(|(value, light)| value - light)
        .collect();
    let darker = -percentile(&departures, PEAK_SHARE);
    let lighter = percentile(&departures, 1.0 - PEAK_SHARE);
    if darker.max(lighter) < BLANK_DEPARTURE {
        return None;
    }
    let invert = if background >= 0.62 && darker >= BLANK_DEPARTURE {
        false
    } else if background <= 0.38 && lighter >= BLANK_DEPARTURE {
        true
    } else {
        lighter > darker
    };
    Some(if invert {
        plane.map(|value| 1.0 - value)
    } else {
        plane.clone()
    })
}

/// Median of the pixels at the border.
#[must_use]
pub fn border_median(plane: &Plane) -> f32 {
    let ring = (plane.width.min(plane.height) / 50).max(1);
    let mut values = Vec::new();
    for (y, row) in plane.rows().enumerate() {
        if y < ring || y + ring >= plane.height {
            values.extend_from_slice(row);
        } else {
            values.extend_from_slice(&row[..ring.min(row.len())]);
            values.extend_from_slice(&row[row.len() - ring.min(row.len())..]);
        }
    }
    percentile(&values, 0.5)
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

/// Otsu's threshold of values from 0 to 1, which minimizes the variance within the two classes.
#[must_use]
pub fn otsu(values: &[f32]) -> f32 {
    const BINS: usize = 256;
    let mut counts = [0_u64; BINS];
    for value in values {
        counts[(value * (BINS - 1) as f32).round() as usize % BINS] += 1;
    }
    let total = values.len() as f64;
    let sum: f64 = counts
        .iter()
        .enumerate()
        .map(|(bin, &count)| bin as f64 * count as f64)
        .sum();
    let (mut below, mut sum_below) = (0.0, 0.0);
    let (mut best, mut threshold) = (0.0, 0.5);
    for (bin, &count) in counts.iter().enumerate() {
        below += count as f64;
        sum_below += bin as f64 * count as f64;
        let above = total - below;
        if below == 0.0 || above == 0.0 {
            continue;
        }
        let apart = sum_below / below - (sum - sum_below) / above;
        let between = below * above * apart * apart;
        if between > best {
            best = between;
            threshold = (bin as f32 + 0.5) / (BINS - 1) as f32;
        }
    }
    threshold
}

/// The value that `share` of all values are at or below; 0 without values.
fn percentile(values: &[f32], share: f32) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let mut values = values.to_vec();
    let index = ((values.len() - 1) as f32 * share).round() as usize;
    *values.select_nth_unstable_by(index, f32::total_cmp).1
}
