//! The batch way: many vectors through one linear layer.

use gemm::Parallelism;

/// A linear layer and what goes through it, as matrices in memory.
pub(super) struct Product<'a> {
    /// Weights, [inputs, outputs], rows `outputs` floats apart.
    pub(super) weights: &'a [f32],
    /// Values that go in, [images, inputs], rows `values_stride` floats apart.
    pub(super) values: &'a [f32],
    /// Floats between two rows of `values`; at least `inputs`.
    pub(super) values_stride: usize,
    /// Images.
    pub(super) images: usize,
    /// Values that go in per image.
    pub(super) inputs: usize,
    /// Values that come out per image.
    pub(super) outputs: usize,
}

impl Product<'_> {
    /// sums += values × weights; `sums` is [images, outputs].
    ///
    /// # Panics
    ///
    /// When a slice is shorter than its shape says.
    #[allow(unsafe_code)] // The crate's only entry takes pointers; see the SAFETY comment.
    pub(super) fn add_to(&self, sums: &mut [f32]) {
        if self.images == 0 || self.inputs == 0 || self.outputs == 0 {
            return;
        }
        assert!(self.values_stride >= self.inputs, "rows overlap");
        assert!(
            self.weights.len() >= self.inputs * self.outputs,
            "weights too short"
        );
        let values = (self.images - 1) * self.values_stride + self.inputs;
        assert!(self.values.len() >= values, "values too short");
        assert!(sums.len() >= self.images * self.outputs, "sums too short");
        // SAFETY: the largest offset that the strides below reach is, for each of the three matrices, one less than the
        // length asserted above; `sums` is borrowed mutably, so it overlaps neither of the others.
        unsafe {
            gemm::gemm(
                self.outputs,
                self.images,
                self.inputs,
                sums.as_mut_ptr(),
                self.outputs as isize,
                1,
                true,
                self.weights.as_ptr(),
                self.outputs as isize,
                1,
                self.values.as_ptr(),
                self.values_stride as isize,
                1,
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}
