//! The generator behind the synthetic digits: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
//! generators", 2014), one stream for each image. Not for secrets, and no relative of the generator that training uses.

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) struct Random {
    state: u64,
}

impl Random {
    /// The stream of image `index` in `part`.
    pub(super) fn of(seed: u64, part: u64, index: u64) -> Self {
        let key = mix(mix(mix(seed.wrapping_add(STEP)) ^ part).wrapping_add(STEP) ^ index);
        Self { state: key }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// From 0 to `bound - 1`, by multiplication: its bias, `bound` / 2³², does not matter here.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }

    /// Uniform in [low, high), of 2²⁴ values.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * unit(self.next())
    }

    /// Between −`spread` and `spread`, the middle being likelier (triangular).
    pub(super) fn around_zero(&mut self, spread: f32) -> f32 {
        (unit(self.next()) - unit(self.next())) * spread
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// The top 24 bits as a number in [0, 1): exact in binary32.
fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / 16_777_216.0
}

/// SplitMix64's output function.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
