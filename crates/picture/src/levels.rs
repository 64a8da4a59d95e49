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

/// Bins of a histogram: finer than the 256 levels of a channel.
const BINS: usize = 1024;

/// Counts of every fourth value: neighbours often have one level, and an increment waits for the
/// one before it at the same place.
const LANES: usize = 4;

/// How many values have which level.
pub struct Histogram {
    lanes: [[u32; BINS]; LANES],
    first: f32,
    step: f32,
}

impl Histogram {
    /// An empty one for values from `first` to `last`; those beyond count as these.
    #[must_use]
    pub fn new(first: f32, last: f32) -> Self {
        Self {
            lanes: [[0; BINS]; LANES],
            first,
            step: (last - first) / (BINS - 1) as f32,
        }
    }

    /// Of values from 0 to 1.
    #[must_use]
    pub fn of(values: &[f32]) -> Self {
        let mut histogram = Self::new(0.0, 1.0);
        histogram.add(values.iter().copied());
        histogram
    }

    /// Counts values.
    pub fn add(&mut self, values: impl Iterator<Item = f32>) {
        let (first, scale) = (self.first - self.step / 2.0, 1.0 / self.step);
        for (at, value) in values.enumerate() {
            // A float below 0 becomes 0.
            let bin = ((value - first) * scale) as usize;
            self.lanes[at % LANES][bin.min(BINS - 1)] += 1;
        }
    }

    /// Counts a value as often as it occurs.
    pub fn add_equal(&mut self, value: f32, count: u32) {
        let bin = ((value - self.first) / self.step).round() as usize;
        self.lanes[0][bin.min(BINS - 1)] += count;
    }

    /// How many values are in each bin.
    fn counts(&self) -> [u32; BINS] {
        let [mut counts, others @ ..] = self.lanes;
        for lane in &others {
            counts
                .iter_mut()
                .zip(lane)
                .for_each(|(sum, more)| *sum += more);
        }
        counts
    }

    fn level(&self, bin: usize) -> f32 {
        self.first + bin as f32 * self.step
    }

    /// The level that `share` of all values are at or below; 0 without values.
    #[must_use]
    pub fn percentile(&self, share: f32) -> f32 {
        self.percentile_above(share, f32::NEG_INFINITY)
    }

    /// The same of the values above a level.
    #[must_use]
    pub fn percentile_above(&self, share: f32, least: f32) -> f32 {
        let all = self.counts();
        let counts = || {
            let counts = all.iter().enumerate();
            counts.filter(|&(bin, _)| self.level(bin) > least)
        };
        let total: u32 = counts().map(|(_, count)| count).sum();
        let index = (f64::from(total.saturating_sub(1)) * f64::from(share)).round() as u32;
        let mut seen = 0;
        let found = counts().find(|(_, count)| {
            seen += **count;
            seen > index
        });
        found.map_or(0.0, |(bin, _)| self.level(bin))
    }

    /// Otsu's threshold, which minimizes the variance within the two classes, and the share of the
    /// variance that it explains.
    #[must_use]
    pub fn otsu(&self) -> (f32, f32) {
        let weighted = |bin: usize, count: u32| bin as f64 * f64::from(count);
        let counts = self.counts();
        let (mut total, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (bin, &count) in counts.iter().enumerate() {
            total += f64::from(count);
            sum += weighted(bin, count);
            squares += bin as f64 * weighted(bin, count);
        }
        let (mut below, mut sum_below) = (0.0, 0.0);
        let (mut best, mut threshold) = (0.0, self.level(BINS / 2));
        for (bin, &count) in counts.iter().enumerate() {
            below += f64::from(count);
            sum_below += weighted(bin, count);
            let above = total - below;
            if count == 0 || above == 0.0 {
                continue;
            }
            let apart = sum_below / below - (sum - sum_below) / above;
            let between = below * above * apart * apart;
            if between > best {
                best = between;
                threshold = self.level(bin) + self.step / 2.0;
            }
        }
        let all = total * squares - sum * sum;
        let explained = if all > 1e-9 { best / all } else { 0.0 };
        (threshold, explained as f32)
    }
}

/// Otsu's threshold of values from 0 to 1.
#[must_use]
pub fn otsu(values: &[f32]) -> f32 {
    Histogram::of(values).otsu().0
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
