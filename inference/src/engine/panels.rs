//! Weights in the layout that both execution paths read: panels of some outputs, each contiguous.

use super::aligned::{AlignedFloats, LANES, padded};
use pulp::Simd;

/// Outputs of a panel: one cache line, and the widest vector register.
pub(super) const WIDTH: usize = LANES;

/// The weights of a linear layer, [panels, inputs, WIDTH]; the last panel is padded with 0.
pub(super) struct Panels {
    inputs: usize,
    outputs: usize,
    weights: AlignedFloats,
}

impl Panels {
    /// Packs `weight`, [outputs, inputs]. `None` when offsets exceed 32 bits.
    pub(super) fn new(inputs: usize, outputs: usize, weight: &[f32]) -> Option<Self> {
        let padded = padded(outputs);
        let floats = inputs.checked_mul(padded)?;
        // The sparse path has offsets of 32 bits.
        u32::try_from(inputs.checked_mul(WIDTH)?).ok()?;
        let mut weights = AlignedFloats::zeros(floats);
        let floats = weights.as_mut_slice();
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let first = output / WIDTH * inputs * WIDTH + output % WIDTH;
            for (input, &value) in row.iter().enumerate() {
                floats[first + input * WIDTH] = value;
            }
        }
        Some(Self {
            inputs,
            outputs: padded,
            weights,
        })
    }

    /// Number of outputs, with the padding of the last panel.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// The panels; each has a row for each input.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[[f32; WIDTH]]> {
        let (rows, _) = self.weights.as_slice().as_chunks();
        rows.chunks_exact(self.inputs)
    }

    /// Floats of a panel.
    pub(super) fn panel_floats(&self) -> usize {
        self.inputs * WIDTH
    }

    pub(super) fn as_slice(&self) -> &[f32] {
        self.weights.as_slice()
    }
}

/// A panel's row as `V` registers.
#[inline(always)]
pub(super) fn vectors<S: Simd, const V: usize>(simd: S, row: &[f32]) -> [S::f32s; V] {
    let (row, _) = S::as_simd_f32s(row);
    let mut vectors = [simd.splat_f32s(0.0); V];
    vectors.copy_from_slice(&row[..V]);
    vectors
}

/// sums += value × weights.
///
/// Inlined, because it must be compiled for the vector instructions of its caller. Its loops have
/// constant bounds, or the compiler unrolls them too late to keep the sums in registers, which
/// makes a product half as fast.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
pub(super) fn add<S: Simd, const V: usize>(
    simd: S,
    value: f32,
    weights: [S::f32s; V],
    sums: &mut [S::f32s; V],
) {
    let value = simd.splat_f32s(value);
    for vector in 0..V {
        sums[vector] = simd.mul_add_e_f32s(value, weights[vector], sums[vector]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_hold_each_weight_once() {
        let (inputs, outputs) = (3, WIDTH + 2);
        let weight: Vec<f32> = (0..inputs * outputs).map(|n| n as f32 + 1.0).collect();
        let panels = Panels::new(inputs, outputs, &weight).expect("small");
        assert_eq!(panels.outputs(), 2 * WIDTH);
        let rows: Vec<&[[f32; WIDTH]]> = panels.iter().collect();
        for output in 0..2 * WIDTH {
            for (input, row) in rows[output / WIDTH].iter().enumerate() {
                let expected = weight.get(output * inputs + input).copied().unwrap_or(0.0);
                assert_eq!(row[output % WIDTH], expected, "{output} {input}");
            }
        }
    }
}
