//! A grey image of floats, 0 for background and 1 for full ink, with operations that several
//! corruptions share.

/// [height, width], row-major.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: Vec<f32>,
}

impl Plane {
    pub(super) fn zeros(height: usize, width: usize) -> Self {
        Self {
            height,
            width,
            values: vec![0.0; height * width],
        }
    }

    pub(super) fn of_bytes(height: usize, width: usize, pixels: &[u8]) -> Self {
        Self {
            height,
            width,
            values: pixels.iter().map(|&byte| f32::from(byte) / 255.0).collect(),
        }
    }

    /// Clipped to 0 to 1 and rounded to bytes.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> {
        self.values
            .iter()
            .map(|value| (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8)
    }

    pub(super) fn map(&mut self, change: impl FnMut(f32) -> f32) {
        let mut change = change;
        for value in &mut self.values {
            *value = change(*value);
        }
    }

    /// The value there, or `None` outside.
    pub(super) fn get(&self, row: isize, column: isize) -> Option<f32> {
        let (row, column) = (usize::try_from(row).ok()?, usize::try_from(column).ok()?);
        (row < self.height && column < self.width).then(|| self.values[row * self.width + column])
    }

    /// The value there; outside, that of the nearest pixel.
    pub(super) fn nearest(&self, row: isize, column: isize) -> f32 {
        let row = row.clamp(0, self.height as isize - 1) as usize;
        let column = column.clamp(0, self.width as isize - 1) as usize;
        self.values[row * self.width + column]
    }

    /// Between the four pixels around the place, bilinearly; outside is 0.
    pub(super) fn between(&self, row: f32, column: f32) -> f32 {
        let (top, left) = (row.floor(), column.floor());
        let (down, right) = (row - top, column - left);
        let (top, left) = (top as isize, left as isize);
        let at = |row, column| self.get(row, column).unwrap_or(0.0);
        let upper = at(top, left) * (1.0 - right) + at(top, left + 1) * right;
        let lower = at(top + 1, left) * (1.0 - right) + at(top + 1, left + 1) * right;
        upper * (1.0 - down) + lower * down
    }

    /// Blurred by a Gaussian along both axes; beyond the border lie its nearest pixels.
    pub(super) fn blurred(&self, sigma: f32) -> Self {
        self.blurred_down(sigma).blurred_across(sigma)
    }

    /// Blurred by a Gaussian along the columns only.
    pub(super) fn blurred_down(&self, sigma: f32) -> Self {
        let kernel = gaussian(sigma);
        self.filtered(|row, column| weighted(&kernel, |offset| self.nearest(row + offset, column)))
    }

    fn blurred_across(&self, sigma: f32) -> Self {
        let kernel = gaussian(sigma);
        self.filtered(|row, column| weighted(&kernel, |offset| self.nearest(row, column + offset)))
    }

    /// A plane of this size with the values that `value` gives for row and column.
    pub(super) fn filtered(&self, value: impl Fn(isize, isize) -> f32) -> Self {
        let mut filtered = Self::zeros(self.height, self.width);
        for (row, values) in filtered.values.chunks_exact_mut(self.width).enumerate() {
            for (column, to) in values.iter_mut().enumerate() {
                *to = value(row as isize, column as isize);
            }
        }
        filtered
    }
}

/// A Gaussian's weights from the centre outwards to four standard deviations; both sides together
/// make 1.
pub(super) fn gaussian(sigma: f32) -> Vec<f32> {
    let reach = (4.0 * sigma + 0.5) as usize;
    let mut weights: Vec<f32> = (0..=reach)
        .map(|offset| {
            let share = offset as f32 / sigma;
            libm::expf(-0.5 * share * share)
        })
        .collect();
    let sum = 2.0 * weights.iter().sum::<f32>() - weights[0];
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

/// The sum of what lies at the offsets, each with its weight.
pub(super) fn weighted(half_kernel: &[f32], at: impl Fn(isize) -> f32) -> f32 {
    let (centre, outer) = half_kernel
        .split_first()
        .expect("a kernel has at least its centre");
    let mut sum = centre * at(0);
    for (offset, weight) in (1..).zip(outer) {
        sum += weight * (at(-offset) + at(offset));
    }
    sum
}
