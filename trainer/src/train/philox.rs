//! Philox4x32-10, a counter-based PRNG: random numbers are a pure function of where they are used,
//! without a state that a resume bundle would have to hold.
//!
//! J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2,
//! 3" (SC11): ten rounds turn a counter of 128 bits under a key of 64 bits into four words. The key
//! is the job's seed; the counter holds epoch, step, purpose and the number of the block. So a
//! resumed job draws the same numbers, and one purpose does not change the numbers of another.
//!
//! What a PyTorch script draws as well (split, initial weights, order) comes from
//! [`super::mt19937`].
//!
//! The loops run without branches over a fixed number of blocks at once, so that the compiler
//! vectorises them. Logarithm, sine and cosine are polynomials for the same reason, and to be the
//! same on every machine.

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// Words of a block.
const WORDS: usize = 4;
/// Blocks that are computed at once.
const LANES: usize = 16;
/// Words of these blocks.
const CHUNK: usize = WORDS * LANES;

/// 2⁻²⁴: the spacing of the uniform numbers.
const UNIT: f32 = 1.0 / (1 << 24) as f32;

/// A step of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepPosition {
    /// Seed of the job.
    pub(super) seed: u64,
    /// Epoch, from 0.
    pub(super) epoch: u32,
    /// Step in the epoch, from 0; an epoch has fewer than 2³² images.
    pub(super) step: u32,
}

/// Purpose of random numbers. The codes determine the numbers, so they must not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Rotation, shear, scale and shift of each image.
    Geometry,
    /// The elastic displacement field.
    Elastic,
    /// Changes of strokes and levels.
    Pen,
    /// Noise and its strength.
    Noise,
    /// Outlier images.
    Outliers,
    /// Digits in the styles of other countries.
    Styles,
    /// Letters.
    Letters,
    /// Dropped units of the hidden layer of this number, from 0.
    Dropout(u8),
}

impl Purpose {
    fn code(self) -> u32 {
        match self {
            Self::Geometry => 1,
            Self::Elastic => 2,
            Self::Pen => 3,
            Self::Noise => 4,
            Self::Outliers => 5,
            Self::Styles => 6,
            Self::Letters => 7,
            Self::Dropout(layer) => 0x100 | u32::from(layer),
        }
    }
}

/// The random numbers for one purpose at one step.
///
/// Each fill starts with a new block of four words, so numbers depend on the lengths of the fills
/// before, not on their distribution.
#[derive(Clone, Debug)]
pub(super) struct Philox {
    key: [u32; 2],
    /// Purpose, epoch and step.
    place: [u32; 3],
    block: u32,
}

impl Philox {
    pub(super) fn new(at: StepPosition, purpose: Purpose) -> Self {
        Self {
            key: [at.seed as u32, (at.seed >> 32) as u32],
            place: [purpose.code(), at.epoch, at.step],
            block: 0,
        }
    }

    /// Fills `out` with words of 32 random bits.
    pub(super) fn words(&mut self, out: &mut [u32]) {
        self.fill(out, |words| *words);
    }

    /// Fills `out` with numbers from [0, 1), multiples of 2⁻²⁴.
    pub(super) fn uniform(&mut self, out: &mut [f32]) {
        self.fill(out, |words| words.map(unit));
    }

    /// Fills `out` with numbers from [−1, 1), multiples of 2⁻²³.
    pub(super) fn signed(&mut self, out: &mut [f32]) {
        self.fill(out, |words| {
            words.map(|word| (word.cast_signed() >> 8) as f32 * (2.0 * UNIT))
        });
    }

    /// Fills `out` with standard normal numbers, at most ±5.77 (G. E. P. Box, M. E. Muller, Ann.
    /// Math. Stat. 29, 1958).
    pub(super) fn normal(&mut self, out: &mut [f32]) {
        self.fill(out, |words| {
            let mut numbers = [0.0; CHUNK];
            for (pair, number) in words.chunks_exact(2).zip(numbers.chunks_exact_mut(2)) {
                // From (0, 1], so that there is a logarithm.
                let radius = (-2.0 * ln(unit(pair[0]) + UNIT)).sqrt();
                let (sine, cosine) = sine_and_cosine(pair[1]);
                number[0] = radius * cosine;
                number[1] = radius * sine;
            }
            numbers
        });
    }

    fn fill<T: Copy>(&mut self, out: &mut [T], of: impl Fn(&[u32; CHUNK]) -> [T; CHUNK]) {
        for part in out.chunks_mut(CHUNK) {
            part.copy_from_slice(&of(&self.chunk())[..part.len()]);
            let blocks = part.len().div_ceil(WORDS) as u32;
            self.block = self.block.wrapping_add(blocks);
        }
    }

    /// The words of the next blocks, one block after another.
    fn chunk(&self) -> [u32; CHUNK] {
        let first = self.block;
        let block = std::array::from_fn(|lane| first.wrapping_add(lane as u32));
        let place = self.place.map(|word| [word; LANES]);
        let lanes = philox4x32_10([block, place[0], place[1], place[2]], self.key);
        let mut words = [0; CHUNK];
        for (lane, block) in words.chunks_exact_mut(WORDS).enumerate() {
            for (word, of_all) in block.iter_mut().zip(&lanes) {
                *word = of_all[lane];
            }
        }
        words
    }
}

/// Philox4x32-10 of several counters, given and returned word by word.
fn philox4x32_10(mut counter: [[u32; LANES]; WORDS], mut key: [u32; 2]) -> [[u32; LANES]; WORDS] {
    for _ in 0..ROUNDS {
        let [a, b, c, d] = &mut counter;
        for lane in 0..LANES {
            let left = u64::from(a[lane]) * u64::from(MULTIPLIERS[0]);
            let right = u64::from(c[lane]) * u64::from(MULTIPLIERS[1]);
            a[lane] = (right >> 32) as u32 ^ b[lane] ^ key[0];
            b[lane] = right as u32;
            c[lane] = (left >> 32) as u32 ^ d[lane] ^ key[1];
            d[lane] = left as u32;
        }
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// The high 24 bits of a word as a number from [0, 1).
fn unit(word: u32) -> f32 {
    // Signed, because processors without AVX-512 convert no others.
    (word >> 8).cast_signed() as f32 * UNIT
}

/// The natural logarithm of a positive normal number, to 1e-6: exponent and mantissa separately,
/// the mantissa m scaled to [√½, √2) by the series of 2 artanh((m − 1)/(m + 1)).
fn ln(number: f32) -> f32 {
    const ROOT_HALF: u32 = 0x3f35_04f3;
    let shifted = number.to_bits().wrapping_sub(ROOT_HALF);
    let exponent = (shifted.cast_signed() >> 23) as f32;
    let mantissa = f32::from_bits((shifted & 0x007f_ffff) + ROOT_HALF);
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let series = 2.0 + square * (2.0 / 3.0 + square * (2.0 / 5.0 + square * (2.0 / 7.0)));
    exponent * std::f32::consts::LN_2 + t * series
}

/// Sine and cosine of a random angle, to 1e-6: two bits of the word choose the quadrant, the others
/// the angle in it from −π/4 to π/4.
fn sine_and_cosine(word: u32) -> (f32, f32) {
    /// π/4 · 2⁻²⁹, for 30 bits around their middle.
    const STEP: f32 = std::f32::consts::FRAC_PI_4 / (1 << 29) as f32;
    let angle = ((word & 0x3fff_ffff).cast_signed() - (1 << 29)) as f32 * STEP;
    let square = angle * angle;
    let sine = angle * (1.0 + square * (-1.0 / 6.0 + square * (1.0 / 120.0 - square / 5_040.0)));
    let cosine =
        1.0 + square * (-0.5 + square * (1.0 / 24.0 + square * (-1.0 / 720.0 + square / 40_320.0)));
    let swap = word & 0x4000_0000 != 0;
    let sign = |bit: u32| f32::from_bits(1.0_f32.to_bits() | (bit & 0x8000_0000));
    let (first, second) = if swap {
        (cosine, -sine)
    } else {
        (sine, cosine)
    };
    (first * sign(word), second * sign(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: StepPosition = StepPosition {
        seed: 17,
        epoch: 3,
        step: 5,
    };
    const PURPOSE: Purpose = Purpose::Dropout(1);

    fn counter() -> Philox {
        Philox::new(POSITION, PURPOSE)
    }

    /// The known answers that the authors publish with their library Random123.
    #[test]
    fn philox_matches_the_published_known_answers() {
        for (counter, key, expected) in [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            let words = philox4x32_10(counter.map(|word: u32| [word; LANES]), key);
            assert_eq!(words, expected.map(|word: u32| [word; LANES]));
        }
    }

    #[test]
    fn a_fill_is_its_blocks_in_sequence() {
        for length in [0, 1, 3, 4, 5, CHUNK, CHUNK + 1, 3 * CHUNK - 2] {
            let mut stream = counter();
            let mut words = vec![0; length];
            stream.words(&mut words);
            for (number, &word) in words.iter().enumerate() {
                let place = [(number / WORDS) as u32, PURPOSE.code(), 3, 5];
                let block = philox4x32_10(place.map(|word| [word; LANES]), [17, 0]);
                assert_eq!(word, block[number % WORDS][0], "word {number} of {length}");
            }
            assert_eq!(stream.block as usize, length.div_ceil(WORDS), "{length}");
        }
    }

    #[test]
    fn every_part_of_the_counter_changes_the_numbers() {
        let first = |at: StepPosition, purpose| {
            let mut words = [0; 4];
            Philox::new(at, purpose).words(&mut words);
            words
        };
        let moments = [
            POSITION,
            StepPosition {
                seed: 17 | 1 << 40,
                ..POSITION
            },
            StepPosition {
                seed: 18,
                ..POSITION
            },
            StepPosition {
                epoch: 4,
                ..POSITION
            },
            StepPosition {
                step: 6,
                ..POSITION
            },
        ];
        let mut all: Vec<_> = moments.map(|at| first(at, PURPOSE)).to_vec();
        all.push(first(POSITION, Purpose::Dropout(2)));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(first(POSITION, PURPOSE), first(POSITION, PURPOSE));
    }

    /// Mean, and deviation from it.
    fn moments(numbers: &[f32]) -> (f64, f64) {
        let count = numbers.len() as f64;
        let mean = numbers.iter().map(|&it| f64::from(it)).sum::<f64>() / count;
        let square = |it: &f32| (f64::from(*it) - mean).powi(2);
        let variance = numbers.iter().map(square).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    #[test]
    fn uniform_numbers_have_the_moments_of_their_distribution() {
        let mut numbers = vec![0.0; 1 << 18];
        counter().uniform(&mut numbers);
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let (mean, deviation) = moments(&numbers);
        assert!((mean - 0.5).abs() < 3e-3, "{mean}");
        assert!(
            (deviation - (1.0_f64 / 12.0).sqrt()).abs() < 3e-3,
            "{deviation}"
        );
        let tenths = numbers.iter().fold([0_i32; 10], |mut counts, number| {
            counts[(number * 10.0) as usize] += 1;
            counts
        });
        let expected = numbers.len() as i32 / 10;
        assert!(
            tenths.iter().all(|count| (count - expected).abs() < 800),
            "{tenths:?}"
        );
        assert_eq!(unit(u32::MAX), 1.0 - UNIT);
        counter().signed(&mut numbers);
        assert!(numbers.iter().all(|number| (-1.0..1.0).contains(number)));
        let (mean, deviation) = moments(&numbers);
        assert!(mean.abs() < 6e-3, "{mean}");
        assert!(
            (deviation - (1.0_f64 / 3.0).sqrt()).abs() < 6e-3,
            "{deviation}"
        );
    }

    #[test]
    fn normal_numbers_have_the_moments_of_their_distribution() {
        let mut numbers = vec![0.0; 1 << 18];
        counter().normal(&mut numbers);
        let (mean, deviation) = moments(&numbers);
        assert!(mean.abs() < 8e-3, "{mean}");
        assert!((deviation - 1.0).abs() < 6e-3, "{deviation}");
        let count = numbers.len() as f64;
        let fourth = numbers.iter().map(|&it| f64::from(it).powi(4)).sum::<f64>() / count;
        assert!((fourth - 3.0).abs() < 0.1, "{fourth}");
        for (bound, expected) in [(-1.0, 0.158_655), (0.0, 0.5), (2.0, 0.977_250)] {
            let below = numbers.iter().filter(|&&number| number < bound).count() as f64 / count;
            assert!((below - expected).abs() < 4e-3, "{bound}: {below}");
        }
        let neighbours = numbers.chunks_exact(2);
        let product: f64 = neighbours.map(|it| f64::from(it[0] * it[1])).sum::<f64>() / count;
        assert!(product.abs() < 5e-3, "{product}");
    }

    #[test]
    fn polynomials_approximate_logarithm_sine_and_cosine() {
        let mut words = vec![0; 1 << 14];
        counter().words(&mut words);
        words.extend([0, 1, u32::MAX, 0x3fff_ffff, 0x4000_0000, 0x8000_0000]);
        for word in words {
            let number = unit(word) + UNIT;
            let difference = f64::from(ln(number)) - f64::from(number).ln();
            assert!(difference.abs() < 4e-6, "ln {number}: {difference:e}");
            let (sine, cosine) = sine_and_cosine(word);
            let within = f64::from(word & 0x3fff_ffff) / f64::from(1 << 29) - 1.0;
            let quarter = f64::from(word >> 30);
            let angle = std::f64::consts::FRAC_PI_4 * (within + 2.0 * quarter);
            let difference =
                (f64::from(sine) - angle.sin()).abs() + (f64::from(cosine) - angle.cos()).abs();
            assert!(difference < 2e-6, "{word:#x}: {difference:e}");
        }
    }
}
