//! The PRNG of the synthetic digits and the corruptions: SplitMix64 (Steele, Lea, Flood: "Fast
//! splittable pseudorandom number generators", 2014), with a stream for each image. Not for
//! secrets, and independent of the training's PRNGs.

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The stream of image `index` in `part`.
    pub(crate) fn of(seed: u64, part: u64, index: u64) -> Self {
        let key = mix(mix(mix(seed.wrapping_add(STEP)) ^ part).wrapping_add(STEP) ^ index);
        Self { state: key }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// From 0 to `bound - 1`, by multiplication: its bias, `bound` / 2³², does not matter here.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }

    /// Uniform in [low, high), of 2²⁴ values.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * unit(self.next())
    }

    /// Between −`spread` and `spread`, the middle being likelier (triangular).
    pub(crate) fn around_zero(&mut self, spread: f32) -> f32 {
        (unit(self.next()) - unit(self.next())) * spread
    }

    /// Uniform in [0, 1), of 2²⁴ values.
    pub(crate) fn unit(&mut self) -> f32 {
        unit(self.next())
    }

    /// From the standard normal distribution (Box and Muller, 1958).
    pub(crate) fn normal(&mut self) -> f32 {
        // 1 − u is never 0.
        let radius = (-2.0 * libm::logf(1.0 - self.unit())).sqrt();
        radius * libm::cosf(2.0 * std::f32::consts::PI * self.unit())
    }

    /// From the Poisson distribution of this mean, by multiplication (Knuth); for means of a few.
    pub(crate) fn poisson(&mut self, mean: f32) -> u32 {
        let limit = libm::expf(-mean);
        let mut product = self.unit();
        let mut count = 0;
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// −1 or 1.
    pub(crate) fn sign(&mut self) -> f32 {
        if self.below(2) == 0 { -1.0 } else { 1.0 }
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
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
