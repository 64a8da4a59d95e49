//! Statistics of grey levels.

use crate::plane::Plane;

/// Share of the pixels that peaks leave out, because single hot pixels are not ink.
pub const PEAK_SHARE: f32 = 0.000_5;

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
#[must_use]
pub fn percentile(values: &[f32], share: f32) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let mut values = values.to_vec();
    let index = ((values.len() - 1) as f32 * share).round() as usize;
    *values.select_nth_unstable_by(index, f32::total_cmp).1
}
