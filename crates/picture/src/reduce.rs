//! Reduces pictures by averaging areas, row by row, so that the whole picture is never in memory.

use crate::plane::{Taps, weights};

/// Rows of bytes whose sums fit into 16 bits.
const MAX_WHOLE_ROWS: usize = 257;
/// Parts of a row that are no more than rounding errors.
const EPSILON: f64 = 1e-6;

/// Takes the rows of a picture and emits those of the reduced one; channels are interleaved.
pub(crate) struct Reducer {
    channels: usize,
    /// Source rows in a target row.
    scale: f64,
    columns: Vec<Taps>,
    /// Rows taken, and emitted.
    taken: usize,
    emitted: usize,
    /// Sums of rows that are within the target row in part.
    parts: Vec<f32>,
    /// Sums of those that are within it as a whole, and how many these are.
    whole: Vec<u16>,
    whole_rows: usize,
    out: Vec<f32>,
}

impl Reducer {
    /// From and to (columns, rows), of which neither may grow.
    pub(crate) fn new(from: (usize, usize), to: (usize, usize), channels: usize) -> Self {
        Self {
            channels,
            scale: from.1 as f64 / to.1 as f64,
            columns: weights(from.0, to.0),
            taken: 0,
            emitted: 0,
            parts: vec![0.0; from.0 * channels],
            whole: vec![0; from.0 * channels],
            whole_rows: 0,
            out: vec![0.0; to.0 * channels],
        }
    }

    /// Takes a row; `emit` gets the rows that it completes, with values from 0 to 255.
    pub(crate) fn push(&mut self, row: &[u8], mut emit: impl FnMut(&[f32])) {
        let top = self.taken as f64;
        self.taken += 1;
        loop {
            let (start, end) = (
                self.emitted as f64 * self.scale,
                (self.emitted + 1) as f64 * self.scale,
            );
            let covered = end.min(top + 1.0) - start.max(top);
            if covered > 1.0 - EPSILON {
                add(&mut self.whole, row);
                self.whole_rows += 1;
                if self.whole_rows == MAX_WHOLE_ROWS {
                    self.settle();
                }
            } else if covered > EPSILON {
                add_weighted(&mut self.parts, row, covered as f32);
            }
            if end > top + 1.0 + EPSILON {
                return;
            }
            self.settle();
            self.emit();
            emit(&self.out);
            self.emitted += 1;
            if end > top + 1.0 - EPSILON {
                return;
            }
        }
    }

    /// Moves the sums of whole rows to those of parts.
    fn settle(&mut self) {
        for (part, whole) in self.parts.iter_mut().zip(&mut self.whole) {
            *part += f32::from(std::mem::take(whole));
        }
        self.whole_rows = 0;
    }

    fn emit(&mut self) {
        let scale = (1.0 / self.scale) as f32;
        match self.channels {
            1 => average::<1>(&self.columns, &self.parts, scale, &mut self.out),
            2 => average::<2>(&self.columns, &self.parts, scale, &mut self.out),
            3 => average::<3>(&self.columns, &self.parts, scale, &mut self.out),
            _ => average::<4>(&self.columns, &self.parts, scale, &mut self.out),
        }
        self.parts.fill(0.0);
    }
}

/// Adds a row to sums of at most [`MAX_WHOLE_ROWS`].
pub(crate) fn add(sums: &mut [u16], row: &[u8]) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += u16::from(value);
    }
}

fn add_weighted(sums: &mut [f32], row: &[u8], weight: f32) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += weight * f32::from(value);
    }
}

/// Averages along a row.
fn average<const CHANNELS: usize>(columns: &[Taps], row: &[f32], scale: f32, out: &mut [f32]) {
    let pixels = row.as_chunks::<CHANNELS>().0;
    for (target, taps) in out.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(columns) {
        let mut sum = [0.0; CHANNELS];
        for (weight, pixel) in taps.weights.iter().zip(&pixels[taps.first..]) {
            for (sum, value) in sum.iter_mut().zip(pixel) {
                *sum += weight * value;
            }
        }
        *target = sum.map(|sum| sum * scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Plane;

    #[test]
    fn rows_are_averaged_as_planes_are() {
        let sizes = [
            ((40, 30), (13, 10)),
            ((7, 1_100), (2, 2)),
            ((100, 100), (33, 33)),
            ((128, 64), (64, 32)),
            ((5, 1), (3, 1)),
        ];
        for (from, to) in sizes {
            for channels in 1..=4 {
                let length = from.0 * from.1 * channels;
                let bytes: Vec<u8> = (0..length).map(|at| (at * 7_919 % 253) as u8).collect();
                let mut reducer = Reducer::new(from, to, channels);
                let mut reduced = Vec::new();
                for row in bytes.chunks_exact(from.0 * channels) {
                    reducer.push(row, |row| reduced.extend_from_slice(row));
                }
                assert_eq!(reduced.len(), to.0 * to.1 * channels);
                for channel in 0..channels {
                    let of = |values: &[f32]| -> Vec<f32> {
                        let values = values.iter().skip(channel).step_by(channels);
                        values.copied().collect()
                    };
                    let plane = Plane {
                        width: from.0,
                        height: from.1,
                        values: of(&bytes.iter().map(|&it| f32::from(it)).collect::<Vec<f32>>()),
                    };
                    let expected = plane.resized(to.0, to.1).values;
                    let reduced = of(&reduced);
                    let differs = reduced.iter().zip(&expected);
                    let differs = differs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(differs < 0.01, "{from:?} to {to:?}: differs by {differs}");
                }
            }
        }
    }
}
