//! The single way: one vector through one linear layer, walking only what is not 0.

use super::aligned::LANES;
use pulp::{Arch, Simd, WithSimd};

/// A value that is not 0, and where its row of weights begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// First float of the row in the weights.
    pub offset: u32,
    /// The value.
    pub value: f32,
}

/// Entries of an image: each pixel with ink as `table[pixel]`. Returns how many there are.
///
/// `entries` must have a place for each pixel.
pub(super) fn inked(
    image: &[u8],
    table: &[f32; 256],
    stride: usize,
    entries: &mut [Entry],
) -> usize {
    let entries = &mut entries[..image.len()];
    let mut count = 0;
    let (words, rest) = image.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // Most of a digit is background: eight pixels at a time are passed over.
        if u64::from_ne_bytes(*word) == 0 {
            continue;
        }
        for (inner, &pixel) in word.iter().enumerate() {
            let offset = ((index * 8 + inner) * stride) as u32;
            // Written always and counted only with ink: no branch to guess wrong.
            entries[count] = Entry {
                offset,
                value: table[usize::from(pixel)],
            };
            count += usize::from(pixel != 0);
        }
    }
    for (inner, &pixel) in rest.iter().enumerate() {
        if pixel != 0 {
            let offset = ((words.len() * 8 + inner) * stride) as u32;
            entries[count] = Entry {
                offset,
                value: table[usize::from(pixel)],
            };
            count += 1;
        }
    }
    count
}

/// Entries of a layer's input: each value that is not 0. Returns how many there are.
pub(super) fn active(values: &[f32], stride: usize, entries: &mut [Entry]) -> usize {
    let entries = &mut entries[..values.len()];
    let mut count = 0;
    for (index, &value) in values.iter().enumerate() {
        if value != 0.0 {
            entries[count] = Entry {
                offset: (index * stride) as u32,
                value,
            };
            count += 1;
        }
    }
    count
}

/// out = base + Σ value · row, over the entries, with the widest registers that this machine has.
///
/// Rows, `base` and `out` are `out.len()` long, a multiple of [`LANES`].
pub(super) fn accumulate(weights: &[f32], base: &[f32], entries: &[Entry], out: &mut [f32]) {
    debug_assert!(out.len().is_multiple_of(LANES) && base.len() == out.len());
    Arch::new().dispatch(Accumulate {
        weights,
        base,
        entries,
        out,
    });
}

struct Accumulate<'a> {
    weights: &'a [f32],
    base: &'a [f32],
    entries: &'a [Entry],
    out: &'a mut [f32],
}

impl WithSimd for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (base, _) = S::as_simd_f32s(self.base);
        let (out, _) = S::as_mut_simd_f32s(self.out);
        let job = Columns {
            simd,
            weights: self.weights,
            entries: self.entries,
        };
        let vectors = out.len();
        let mut column = 0;
        // As many sums at once as hide the latency of an addition; a narrow layer splits its entries instead.
        while vectors - column >= 8 {
            job.sum::<8, 1>(column, base, out);
            column += 8;
        }
        if vectors - column >= 4 {
            job.sum::<4, 2>(column, base, out);
            column += 4;
        }
        if vectors - column >= 2 {
            job.sum::<2, 4>(column, base, out);
            column += 2;
        }
        if vectors - column == 1 {
            job.sum::<1, 8>(column, base, out);
        }
    }
}

struct Columns<'a, S> {
    simd: S,
    weights: &'a [f32],
    entries: &'a [Entry],
}

impl<S: Simd> Columns<'_, S> {
    /// `V` vectors of the output from vector `column` on, with `U` entries in flight.
    #[inline(always)]
    fn sum<const V: usize, const U: usize>(
        &self,
        column: usize,
        base: &[S::f32s],
        out: &mut [S::f32s],
    ) {
        let zero = self.simd.splat_f32s(0.0);
        let mut sums = [[zero; V]; U];
        sums[0].copy_from_slice(&base[column..column + V]);
        let first = column * S::F32_LANES;
        let groups = self.entries.chunks_exact(U);
        let rest = groups.remainder();
        for group in groups {
            for (sum, entry) in sums.iter_mut().zip(group) {
                self.add(sum, *entry, first);
            }
        }
        for entry in rest {
            self.add(&mut sums[0], *entry, first);
        }
        for vector in 0..V {
            let mut total = sums[0][vector];
            for sum in &sums[1..] {
                total = self.simd.add_f32s(total, sum[vector]);
            }
            out[column + vector] = total;
        }
    }

    #[inline(always)]
    fn add<const V: usize>(&self, sum: &mut [S::f32s; V], entry: Entry, first: usize) {
        let start = entry.offset as usize + first;
        let (row, _) = S::as_simd_f32s(&self.weights[start..start + V * S::F32_LANES]);
        let value = self.simd.splat_f32s(entry.value);
        for (slot, &weight) in sum.iter_mut().zip(row) {
            *slot = self.simd.mul_add_e_f32s(value, weight, *slot);
        }
    }
}
