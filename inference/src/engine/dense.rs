//! The dense path: many vectors through one linear layer, by a matrix product over [`Panels`].
//!
//! A tile of the sums, some images by one panel, stays in registers over all inputs (Goto and van
//! de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008). The weights were packed
//! when they were loaded, so a request packs nothing.

use super::panels::{Panels, WIDTH, add, vectors};
use pulp::{Arch, Simd, WithSimd};

/// Inputs between two checks of bounds.
const UNROLL: usize = 4;

/// A matrix product with a bias; all matrices are stored row by row.
pub(super) struct Product<'a> {
    pub(super) panels: &'a Panels,
    /// Initial value of the sums, [outputs].
    pub(super) bias: &'a [f32],
    /// Inputs, [images, inputs], rows `values_stride` floats apart.
    pub(super) values: &'a [f32],
    /// Floats between two rows of `values`; at least `inputs`.
    pub(super) values_stride: usize,
    /// values × weights + bias, [images, outputs].
    pub(super) sums: &'a mut [f32],
}

impl Product<'_> {
    /// Computes the sums with the widest vector registers of this machine.
    pub(super) fn compute(self) {
        Arch::new().dispatch(self);
    }
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Vectors of a panel, and as many images as leave registers for the weights and a value.
        match S::F32_LANES {
            16 => tiles::<S, 1, 12>(simd, self),
            8 => tiles::<S, 2, 6>(simd, self),
            4 => tiles::<S, 4, 4>(simd, self),
            _ => tiles::<S, WIDTH, 1>(simd, self),
        }
    }
}

/// All tiles of `V` vectors by up to `R` images. A panel is read from memory once.
#[inline(always)]
fn tiles<S: Simd, const V: usize, const R: usize>(simd: S, product: Product<'_>) {
    let Product {
        panels,
        bias,
        values,
        values_stride,
        sums,
    } = product;
    let sums_stride = panels.outputs();
    let images = sums.len() / sums_stride;
    for (index, panel) in panels.iter().enumerate() {
        let column = index * WIDTH;
        let mut tile = Tile {
            simd,
            panel,
            bias: &bias[column..column + WIDTH],
            values,
            values_stride,
            sums: &mut *sums,
            sums_stride,
            column,
        };
        let mut image = 0;
        while images - image >= R {
            tile.compute::<V, R>(image);
            image += R;
        }
        for rows in (1..=6).rev() {
            while images - image >= rows {
                match rows {
                    6 => tile.compute::<V, 6>(image),
                    5 => tile.compute::<V, 5>(image),
                    4 => tile.compute::<V, 4>(image),
                    3 => tile.compute::<V, 3>(image),
                    2 => tile.compute::<V, 2>(image),
                    _ => tile.compute::<V, 1>(image),
                }
                image += rows;
            }
        }
    }
}

struct Tile<'a, S> {
    simd: S,
    panel: &'a [[f32; WIDTH]],
    bias: &'a [f32],
    values: &'a [f32],
    values_stride: usize,
    sums: &'a mut [f32],
    sums_stride: usize,
    /// The panel's first output.
    column: usize,
}

impl<S: Simd> Tile<'_, S> {
    /// The sums of `R` images from `first` on.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // As in `add`.
    fn compute<const V: usize, const R: usize>(&mut self, first: usize) {
        let inputs = self.panel.len();
        let rows: [&[f32]; R] =
            std::array::from_fn(|row| &self.values[(first + row) * self.values_stride..][..inputs]);
        let mut sums = [vectors::<S, V>(self.simd, self.bias); R];
        let (groups, rest) = self.panel.as_chunks::<UNROLL>();
        for (index, weights) in groups.iter().enumerate() {
            let mut values = [&[0.0; UNROLL]; R];
            for row in 0..R {
                values[row] = &rows[row].as_chunks().0[index];
            }
            for input in 0..UNROLL {
                let weights = vectors::<S, V>(self.simd, &weights[input]);
                for row in 0..R {
                    add(self.simd, values[row][input], weights, &mut sums[row]);
                }
            }
        }
        for (index, weights) in rest.iter().enumerate() {
            let weights = vectors::<S, V>(self.simd, weights);
            for row in 0..R {
                let value = rows[row][groups.len() * UNROLL + index];
                add(self.simd, value, weights, &mut sums[row]);
            }
        }
        for (row, sum) in sums.iter().enumerate() {
            let start = (first + row) * self.sums_stride + self.column;
            let (out, _) = S::as_mut_simd_f32s(&mut self.sums[start..start + WIDTH]);
            out[..V].copy_from_slice(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Scalar;

    #[test]
    fn products_are_right_for_any_number_of_images_with_and_without_simd() {
        // A remainder after the unrolled inputs, a padded panel, and rows that are further apart.
        let (inputs, outputs, stride) = (2 * UNROLL + 1, WIDTH + 4, 2 * UNROLL + 3);
        let number = |n: usize| ((n * 37 + 11) % 101) as f32 / 50.0 - 1.0;
        let weight: Vec<f32> = (0..inputs * outputs).map(number).collect();
        let panels = Panels::new(inputs, outputs, &weight).expect("small");
        let bias: Vec<f32> = (0..panels.outputs()).map(|n| number(n + 5)).collect();
        for images in 1..=25 {
            let values: Vec<f32> = (0..images * stride).map(|n| number(n + 3)).collect();
            let sums = |compute: fn(Product<'_>)| {
                let mut sums = vec![f32::NAN; images * panels.outputs()];
                compute(Product {
                    panels: &panels,
                    bias: &bias,
                    values: &values,
                    values_stride: stride,
                    sums: &mut sums,
                });
                sums
            };
            let found = [
                sums(|product| product.compute()),
                sums(|product| Scalar::new().vectorize(product)),
            ];
            for image in 0..images {
                for output in 0..outputs {
                    let products = (0..inputs)
                        .map(|at| weight[output * inputs + at] * values[image * stride + at]);
                    let expected = bias[output] + products.sum::<f32>();
                    for sums in &found {
                        let sum = sums[image * panels.outputs() + output];
                        assert!((sum - expected).abs() < 1e-5, "{images} {image} {output}");
                    }
                }
            }
        }
    }
}
