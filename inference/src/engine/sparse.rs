//! The sparse path: one vector through one linear layer, multiplying only by values that are not 0.

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

/// out = base + Σ value · row over the entries, with the widest vector registers of this machine.
///
/// `base` and `out` are as long as the panels have outputs.
pub(super) fn accumulate(panels: &Panels, base: &[f32], entries: &[Entry], out: &mut [f32]) {
    debug_assert!(out.len() == panels.outputs() && base.len() == out.len());
    Arch::new().dispatch(Accumulate {
        panels,
        base,
        entries,
        out,
    });
}

struct Accumulate<'a> {
    panels: &'a Panels,
    base: &'a [f32],
    entries: &'a [Entry],
    out: &'a mut [f32],
}

impl WithSimd for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // As many sums as hide the latency of an addition: over panels, or else over entries.
        match S::F32_LANES {
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
        let size = self.panels.panel_floats();
        let mut at = first;
        while (at + P) * WIDTH <= self.out.len() {
            let panels: [&[f32]; P] =
                std::array::from_fn(|panel| &self.panels.as_slice()[(at + panel) * size..][..size]);
            let columns = at * WIDTH..(at + P) * WIDTH;
            let base = &self.base[columns.clone()];
            sum::<S, V, P, U>(simd, panels, base, self.entries, &mut self.out[columns]);
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
            for count in 0..=inputs {
                // Every second input, and then the others.
                let input = |n: usize| n * 2 % inputs;
                let entry = |n: usize| Entry {
                    offset: (input(n) * WIDTH) as u32,
                    value: number(n + 3),
                };
                let entries: Vec<Entry> = (0..count).map(entry).collect();
                let (mut vectors, mut scalars) =
                    (vec![f32::NAN; base.len()], vec![f32::NAN; base.len()]);
                accumulate(&panels, &base, &entries, &mut vectors);
                Scalar::new().vectorize(Accumulate {
                    panels: &panels,
                    base: &base,
                    entries: &entries,
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
