//! One channel of a picture as floats from 0 to 1, and its resampling.

/// One channel, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// [height, width].
    pub values: Vec<f32>,
}

impl Plane {
    /// A plane of one value.
    #[must_use]
    pub fn filled(width: usize, height: usize, value: f32) -> Self {
        Self {
            width,
            height,
            values: vec![value; width * height],
        }
    }

    /// From bytes, 255 being 1.
    #[must_use]
    pub fn from_bytes(width: usize, height: usize, bytes: &[u8]) -> Self {
        Self {
            width,
            height,
            values: bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect(),
        }
    }

    /// To bytes, rounded and clamped.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.values
            .iter()
            .map(|value| (value * 255.0).round().clamp(0.0, 255.0) as u8)
            .collect()
    }

    /// Value at a column and a row.
    #[must_use]
    pub fn at(&self, x: usize, y: usize) -> f32 {
        self.values[y * self.width + x]
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// A copy with each value replaced.
    #[must_use]
    pub fn map(&self, change: impl Fn(f32) -> f32) -> Self {
        Self {
            values: self.values.iter().map(|&value| change(value)).collect(),
            ..*self
        }
    }

    /// The difference to a plane of the same size.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let values = self.values.iter().zip(&other.values);
        Self {
            values: values.map(|(a, b)| a - b).collect(),
            ..*self
        }
    }

    /// The mean of each square of two pixels, repeated until no side is longer than `side`.
    #[must_use]
    pub fn halved_to(&self, side: usize) -> Self {
        let is_longer = |plane: &Self| plane.width.max(plane.height) > side;
        if !is_longer(self) {
            return self.clone();
        }
        let mut plane = self.halved();
        while is_longer(&plane) {
            plane = plane.halved();
        }
        plane
    }

    /// The mean of each square of two pixels; at the edges of what there is of it.
    fn halved(&self) -> Self {
        let mut values = Vec::with_capacity(self.width.div_ceil(2) * self.height.div_ceil(2));
        for rows in self.values.chunks(2 * self.width) {
            let (upper, lower) = rows.split_at(self.width);
            let lower = if lower.is_empty() { upper } else { lower };
            let (above, last) = upper.as_chunks::<2>();
            let (below, last_below) = lower.as_chunks::<2>();
            let pairs = above.iter().zip(below);
            values.extend(pairs.map(|([a, b], [c, d])| ((a + b) + (c + d)) * 0.25));
            values.extend(last.iter().zip(last_below).map(|(a, b)| (a + b) * 0.5));
        }
        Self {
            width: self.width.div_ceil(2),
            height: self.height.div_ceil(2),
            values,
        }
    }

    /// Resampled, separably: area averaging to reduce, bicubic (Catmull-Rom) to enlarge.
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let columns = weights(self.width, width);
        let rows = weights(self.height, height);
        let mut narrow = Self::filled(width, self.height, 0.0);
        for (row, out) in self.rows().zip(narrow.values.chunks_exact_mut(width)) {
            for (value, taps) in out.iter_mut().zip(&columns) {
                *value = taps.of(row);
            }
        }
        let mut result = Self::filled(width, height, 0.0);
        for (out, taps) in result.values.chunks_exact_mut(width).zip(&rows) {
            for (offset, weight) in taps.weights.iter().enumerate() {
                let start = (taps.first + offset) * width;
                for (value, source) in out.iter_mut().zip(&narrow.values[start..start + width]) {
                    *value += weight * source;
                }
            }
        }
        result
    }

    /// Reduced to a longest side of at most `side`, keeping the aspect ratio; never enlarged.
    #[must_use]
    pub fn reduced(&self, side: usize) -> Self {
        let (width, height) = reduced_size(self.width, self.height, side);
        self.resized(width, height)
    }
}

/// Width and height for a longest side of at most `side`, keeping the aspect ratio.
#[must_use]
pub fn reduced_size(width: usize, height: usize, side: usize) -> (usize, usize) {
    let longest = width.max(height);
    if longest <= side {
        return (width, height);
    }
    let scaled = |length: usize| ((length * side + longest / 2) / longest).max(1);
    (scaled(width), scaled(height))
}

/// Weights of consecutive source pixels in one target pixel.
#[derive(Debug)]
pub(crate) struct Taps {
    pub(crate) first: usize,
    pub(crate) weights: Vec<f32>,
}

impl Taps {
    fn of(&self, source: &[f32]) -> f32 {
        let source = &source[self.first..self.first + self.weights.len()];
        self.weights
            .iter()
            .zip(source)
            .map(|(weight, value)| weight * value)
            .sum()
    }
}

/// Taps of each of `to` target pixels over `from` source pixels.
pub(crate) fn weights(from: usize, to: usize) -> Vec<Taps> {
    (0..to)
        .map(|index| {
            if to <= from {
                area_taps(from, to, index)
            } else {
                cubic_taps(from, to, index)
            }
        })
        .collect()
}

/// The mean over the area of the target pixel, with parts of source pixels.
fn area_taps(from: usize, to: usize, index: usize) -> Taps {
    let scale = from as f64 / to as f64;
    let (start, end) = (index as f64 * scale, (index + 1) as f64 * scale);
    let first = start.floor() as usize;
    let last = (end.ceil() as usize).clamp(first + 1, from);
    let covered = |pixel: usize| (end.min((pixel + 1) as f64) - start.max(pixel as f64)).max(0.0);
    normalized(first, (first..last).map(covered).collect())
}

/// Catmull-Rom; the edge pixel is repeated beyond the edge.
fn cubic_taps(from: usize, to: usize, index: usize) -> Taps {
    let centre = (index as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let base = centre.floor();
    let mut taps = vec![0.0; 4];
    let first = (base as isize - 1).clamp(0, from as isize - 1) as usize;
    for offset in -1..=2 {
        let source = (base as isize + offset).clamp(0, from as isize - 1) as usize;
        taps[source - first] += catmull_rom((centre - base - offset as f64).abs());
    }
    taps.truncate(from - first);
    normalized(first, taps)
}

fn catmull_rom(x: f64) -> f64 {
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

fn normalized(first: usize, taps: Vec<f64>) -> Taps {
    let sum: f64 = taps.iter().sum();
    Taps {
        first,
        weights: taps.iter().map(|tap| (tap / sum) as f32).collect(),
    }
}
