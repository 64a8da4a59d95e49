//! Floats aligned to a cache line, so that no vector load crosses two.

/// Bytes of a cache line, and of the widest vector register.
const LINE_BYTES: usize = 64;
/// Floats of the widest vector register: rows are padded to a multiple of it.
pub(super) const LANES: usize = LINE_BYTES / size_of::<f32>();

/// `count` rounded up to whole vectors.
pub(super) fn padded(count: usize) -> usize {
    count.next_multiple_of(LANES)
}

/// A fixed number of floats, aligned to a cache line.
#[derive(Debug)]
pub(super) struct AlignedFloats {
    values: Vec<f32>,
    start: usize,
    len: usize,
}

impl AlignedFloats {
    /// `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let values = vec![0.0; len + LANES];
        // `align_offset` may return usize::MAX; unaligned loads are only slower.
        let start = values.as_ptr().align_offset(LINE_BYTES).min(LANES);
        Self { values, start, len }
    }

    pub(super) fn as_slice(&self) -> &[f32] {
        &self.values[self.start..self.start + self.len]
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.values[self.start..self.start + self.len]
    }

    /// Makes it at least `len` long; growing discards the values.
    pub(super) fn grow(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeros(len);
        }
    }
}
