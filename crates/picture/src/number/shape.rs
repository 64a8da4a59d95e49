//! How unlike a digit a segment's shape is.
//!
//! The weights are those of a conditional random field over the paths through a lattice, fitted so
//! that three networks read numbers composed from a part of MNIST's training images right (see
//! `inference/benches/numbers`); the network's −ln of a probability has the weight 1.

/// The shape of a segment; lengths are in heights of its line.
pub(super) struct Shape {
    pub(super) width: f32,
    pub(super) height: f32,
    /// Largest gap between its pieces.
    pub(super) gap: f32,
    /// Ink that the cuts on its left and right cross, if there are cuts.
    pub(super) cuts: [Option<f32>; 2],
    /// Whether it is one component, not cut.
    pub(super) is_whole: bool,
}

impl Shape {
    pub(super) fn cost(&self) -> f32 {
        let above = |value: f32, knee: f32| (value - knee).max(0.0);
        let cuts = self.cuts.iter().flatten();
        let cut: f32 = cuts.map(|ink| 1.79 * ink - 0.29).sum();
        let whole = if self.is_whole { 1.15 } else { 0.0 };
        let wide =
            1.08 * self.width + 2.13 * above(self.width, 0.5) + 2.22 * above(self.width, 0.9);
        let high = 1.9 * self.height + 1.55 * above(self.height, 0.7);
        cut + 0.18 * self.gap + wide - high - whole - 0.85
    }
}
