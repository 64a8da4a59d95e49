//! The sparse path: images through one linear layer, multiplying only by values that are not 0.

use super::panels::{Panels, WIDTH, add, vectors};
use pulp::{Arch, Simd, WithSimd};

/// A value that is not 0, and the offset of its row of weights in each panel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// First float of the row.
    pub offset: u32,
    /// The value.
    pub value: f32,
}

/// Entries of an image: each pixel with ink as `table[pixel]`. Returns how many there are.
///
/// `entries` must have a place for each pixel.
pub(super) fn inked(image: &[u8], table: &[f32; 256], entries: &mut [Entry]) -> usize {
    let entries = &mut entries[..image.len()];
    let mut count = 0;
    let (words, rest) = image.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // Most of a digit is background: skip eight pixels at a time.
        if u64::from_ne_bytes(*word) == 0 {
            continue;
        }
        for (inner, &pixel) in word.iter().enumerate() {
            let offset = ((index * 8 + inner) * WIDTH) as u32;
            // Always written and only counted with ink, so that no branch is mispredicted.
            entries[count] = Entry {
                offset,
                value: table[usize::from(pixel)],
            };
            count += usize::from(pixel != 0);
        }
    }
    for (inner, &pixel) in rest.iter().enumerate() {
        if pixel != 0 {
            let offset = ((words.len() * 8 + inner) * WIDTH) as u32;
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
pub(super) fn active(values: &[f32], entries: &mut [Entry]) -> usize {
    let entries = &mut entries[..values.len()];
    let mut count = 0;
    for (index, &value) in values.iter().enumerate() {
        if value != 0.0 {
            entries[count] = Entry {
                offset: (index * WIDTH) as u32,
                value,
            };
            count += 1;
        }
    }
    count
}

/// Fewest images for which the order of the work follows the weights: two panels at a time stay in
/// the first cache for all images.
const MIN_CACHED_IMAGES: usize = 8;

/// Entries of some images, one image after another.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) entries: &'a [Entry],
    /// Where the entries of each image end.
    pub(super) ends: &'a [usize],
}

/// out = base + Σ value · row over the entries of each image, with the widest vector registers of
/// this machine. The sums of an image are the same bits whatever images come with it.
///
/// `base` is as long as the panels have outputs; `out` is [images, outputs].
pub(super) fn accumulate(panels: &Panels, base: &[f32], rows: Rows<'_>, out: &mut [f32]) {
    debug_assert!(base.len() == panels.outputs() && out.len() == rows.ends.len() * base.len());
    Arch::new().dispatch(Accumulate {
        panels,
        base,
        rows,
        out,
    });
}

struct Accumulate<'a> {
    panels: &'a Panels,
    base: &'a [f32],
    rows: Rows<'a>,
    out: &'a mut [f32],
}

impl WithSimd for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // As many sums as hide the latency of an addition: over panels, or else over entries.
        match S::F32_LANES {
            16 if self.rows.ends.len() >= MIN_CACHED_IMAGES => {
                // The last panels as below, for the same bits.
                let whole = self.base.len() / (4 * WIDTH) * 4;
                self.panels_until::<S, 1, 2, 2>(simd, 0, whole);
                let done = self.panels::<S, 1, 2, 4>(simd, whole);
                self.panels::<S, 1, 1, 8>(simd, done);
            }
            16 => {
                let done = self.panels::<S, 1, 4, 2>(simd, 0);
                let done = self.panels::<S, 1, 2, 4>(simd, done);
                self.panels::<S, 1, 1, 8>(simd, done);
            }
            8 => {
                let done = self.panels::<S, 2, 4, 1>(simd, 0);
                let done = self.panels::<S, 2, 2, 2>(simd, done);
                self.panels::<S, 2, 1, 4>(simd, done);
            }
            4 => {
                let done = self.panels::<S, 4, 2, 1>(simd, 0);
                self.panels::<S, 4, 1, 2>(simd, done);
            }
            _ => {
                self.panels::<S, WIDTH, 1, 1>(simd, 0);
            }
        }
    }
}

impl Accumulate<'_> {
    /// Sums `P` panels of `V` vectors at a time, from panel `first` on, with `U` entries in flight.
    /// Returns the first panel that is left.
    #[inline(always)]
    fn panels<S: Simd, const V: usize, const P: usize, const U: usize>(
        &mut self,
        simd: S,
        first: usize,
    ) -> usize {
        self.panels_until::<S, V, P, U>(simd, first, self.base.len() / WIDTH)
    }

    /// [`Self::panels`], up to panel `end`.
    #[inline(always)]
    fn panels_until<S: Simd, const V: usize, const P: usize, const U: usize>(
        &mut self,
        simd: S,
        first: usize,
        end: usize,
    ) -> usize {
        let Rows { entries, ends } = self.rows;
        let size = self.panels.panel_floats();
        let mut at = first;
        while at + P <= end {
            let panels: [&[f32]; P] =
                std::array::from_fn(|panel| &self.panels.as_slice()[(at + panel) * size..][..size]);
            let columns = at * WIDTH..(at + P) * WIDTH;
            let base = &self.base[columns.clone()];
            let mut begin = 0;
            let images = self.out.chunks_exact_mut(self.base.len());
            for (out, &end) in images.zip(ends) {
                let out = &mut out[columns.clone()];
                sum::<S, V, P, U>(simd, panels, base, &entries[begin..end], out);
                begin = end;
            }
            at += P;
        }
        at
    }
}

/// `P` panels of `V` vectors with `U` entries in flight.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // As in `add`.
fn sum<S: Simd, const V: usize, const P: usize, const U: usize>(
    simd: S,
    panels: [&[f32]; P],
    base: &[f32],
    entries: &[Entry],
    out: &mut [f32],
) {
    let mut sums = [[[simd.splat_f32s(0.0); V]; P]; U];
    for panel in 0..P {
        sums[0][panel] = vectors(simd, &base[panel * WIDTH..][..WIDTH]);
    }
    let (groups, rest) = entries.as_chunks::<U>();
    for group in groups {
        for lane in 0..U {
            let Entry { offset, value } = group[lane];
            for panel in 0..P {
                let row = &panels[panel][offset as usize..][..WIDTH];
                add(simd, value, vectors(simd, row), &mut sums[lane][panel]);
            }
        }
    }
    for &Entry { offset, value } in rest {
        for panel in 0..P {
            let row = &panels[panel][offset as usize..][..WIDTH];
            add(simd, value, vectors(simd, row), &mut sums[0][panel]);
        }
    }
    for panel in 0..P {
        let (out, _) = S::as_mut_simd_f32s(&mut out[panel * WIDTH..][..WIDTH]);
        for vector in 0..V {
            let mut sum = sums[0][panel][vector];
            for lane in 1..U {
                sum = simd.add_f32s(sum, sums[lane][panel][vector]);
            }
            out[vector] = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Scalar;

    #[test]
    fn sums_are_right_for_any_number_of_panels_and_entries_with_and_without_simd() {
        let inputs = 13;
        let number = |n: usize| ((n * 37 + 11) % 101) as f32 / 50.0 - 1.0;
        for outputs in [10, 20, 40, 60, 75, 150] {
            let weight: Vec<f32> = (0..inputs * outputs).map(number).collect();
            let panels = Panels::new(inputs, outputs, &weight).expect("small");
            let base: Vec<f32> = (0..panels.outputs()).map(|n| number(n + 5)).collect();
            // Every second input, and then the others.
            let input = |n: usize| n * 2 % inputs;
            let entry = |n: usize| Entry {
                offset: (input(n) * WIDTH) as u32,
                value: number(n + 3),
            };
            // One image for each number of entries.
            let (mut entries, mut ends) = (Vec::new(), Vec::new());
            for count in 0..=inputs {
                entries.extend((0..count).map(entry));
                ends.push(entries.len());
            }
            let rows = Rows {
                entries: &entries,
                ends: &ends,
            };
            let mut together = vec![f32::NAN; ends.len() * base.len()];
            accumulate(&panels, &base, rows, &mut together);
            for (count, together) in together.chunks_exact(base.len()).enumerate() {
                let entries: Vec<Entry> = (0..count).map(entry).collect();
                let rows = Rows {
                    entries: &entries,
                    ends: &[count],
                };
                let (mut vectors, mut scalars) =
                    (vec![f32::NAN; base.len()], vec![f32::NAN; base.len()]);
                accumulate(&panels, &base, rows, &mut vectors);
                assert_eq!(vectors, together, "{outputs} {count}");
                Scalar::new().vectorize(Accumulate {
                    panels: &panels,
                    base: &base,
                    rows,
                    out: &mut scalars,
                });
                for output in 0..outputs {
                    let added =
                        (0..count).map(|n| number(n + 3) * weight[output * inputs + input(n)]);
                    let expected = base[output] + added.sum::<f32>();
                    for sum in [vectors[output], scalars[output]] {
                        assert!((sum - expected).abs() < 1e-5, "{outputs} {count} {output}");
                    }
                }
            }
        }
    }
}
