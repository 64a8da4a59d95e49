//! The Mersenne Twister MT19937, with the distributions of PyTorch's CPU generator.
//!
//! M. Matsumoto, T. Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998), with the seeding by one
//! 32-bit number of 2002. PyTorch 2.11 uses its words as follows (checked against it by
//! `tests/python/reference_training.py`):
//!
//! * the low 32 bits of a seed count;
//! * a permutation of n numbers takes n − 1 words: number i is swapped with number i + word mod (n
//!   − i);
//! * a float32 between two bounds takes one word: its low 24 bits times 2⁻²⁴, times (to − from),
//!   plus from, in float32 and rounded once, because PyTorch's kernel uses fused multiply-add
//!   (AVX2, AVX-512). On an x86 processor without it PyTorch rounds twice, and half of its initial
//!   weights differ from these in the last bit;
//! * a random int64 takes two words, the high half first, without its sign bit.

const WORDS: usize = 624;
const SHIFT: usize = 397;
const UPPER: u32 = 0x8000_0000;
const TWIST: u32 = 0x9908_b0df;

/// A Mersenne Twister. "Word" is one tempered output of 32 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Mt19937 {
    words: [u32; WORDS],
    /// Used words of the block.
    used: usize,
}

impl std::fmt::Debug for Mt19937 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mt19937")
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

impl Mt19937 {
    /// Bytes of [`Self::to_bytes`].
    pub const STATE_BYTES: usize = WORDS * 4 + 2;

    /// As `torch.manual_seed(seed)`: only the low 32 bits count.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut words = [0_u32; WORDS];
        let mut previous = (seed & u64::from(u32::MAX)) as u32;
        words[0] = previous;
        for (number, word) in words.iter_mut().enumerate().skip(1) {
            previous = (previous ^ (previous >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(number as u32);
            *word = previous;
        }
        Self { words, used: WORDS }
    }

    /// The next word.
    pub fn word(&mut self) -> u32 {
        if self.used == WORDS {
            self.refill();
        }
        let mut word = self.words[self.used];
        self.used += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// Discards `words` words.
    pub fn skip(&mut self, mut words: u64) {
        loop {
            let left = (WORDS - self.used) as u64;
            if words <= left {
                self.used += words as usize;
                return;
            }
            words -= left;
            self.refill();
        }
    }

    /// As `torch.empty((), dtype=torch.int64).random_()`.
    pub fn int64(&mut self) -> i64 {
        let high = u64::from(self.word());
        let low = u64::from(self.word());
        (((high << 32) | low) & (i64::MAX as u64)) as i64
    }

    /// As one number of `torch.empty(…).uniform_(from, to)` in float32.
    pub fn uniform(&mut self, from: f32, to: f32) -> f32 {
        const MANTISSA: u32 = (1 << 24) - 1;
        const UNIT: f32 = 1.0 / (1 << 24) as f32;
        ((self.word() & MANTISSA) as f32 * UNIT).mul_add(to - from, from)
    }

    /// As `torch.randperm(count)`.
    #[must_use = "drawing moves the generator on"]
    pub fn permutation(&mut self, count: usize) -> Vec<u32> {
        let count = u32::try_from(count).expect("a data set has fewer than 2^32 images");
        let mut numbers: Vec<u32> = (0..count).collect();
        for at in 0..count.saturating_sub(1) {
            let other = at + self.word() % (count - at);
            numbers.swap(at as usize, other as usize);
        }
        numbers
    }

    /// The state in [`Self::STATE_BYTES`] bytes: the words, then the number of used ones,
    /// little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::STATE_BYTES);
        for word in self.words {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&(self.used as u16).to_le_bytes());
        bytes
    }

    /// The generator with the state of [`Self::to_bytes`]; `None` if the bytes are no state.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::STATE_BYTES {
            return None;
        }
        let (state, used) = bytes.split_at(WORDS * 4);
        let mut words = [0_u32; WORDS];
        for (word, chunk) in words.iter_mut().zip(state.chunks_exact(4)) {
            *word = u32::from_le_bytes(chunk.try_into().ok()?);
        }
        let used = usize::from(u16::from_le_bytes(used.try_into().ok()?));
        (used <= WORDS).then_some(Self { words, used })
    }

    /// Generates the next block of words.
    fn refill(&mut self) {
        for at in 0..WORDS {
            let next = self.words[(at + 1) % WORDS];
            let mixed = (self.words[at] & UPPER) | (next & !UPPER);
            let twist = if mixed & 1 == 0 { 0 } else { TWIST };
            self.words[at] = self.words[(at + SHIFT) % WORDS] ^ (mixed >> 1) ^ twist;
        }
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ten_thousandth_word_is_that_of_the_cpp_standard() {
        // The value that the C++ standard demands of std::mt19937 ([rand.predef]).
        let mut generator = Mt19937::new(5489);
        generator.skip(9_999);
        assert_eq!(generator.word(), 4_123_659_995);
    }

    #[test]
    fn only_the_low_32_bits_of_a_seed_count() {
        assert_eq!(Mt19937::new(17), Mt19937::new((5 << 32) | 17));
        assert_ne!(Mt19937::new(17), Mt19937::new(18));
    }

    #[test]
    fn skipping_words_equals_drawing_them() {
        for count in [0_u64, 1, 623, 624, 625, 1_247, 1_248, 1_249, 15_962] {
            for before in [0, 1, 623, 624] {
                let mut drawn = Mt19937::new(17);
                for _ in 0..before {
                    drawn.word();
                }
                let mut skipped = drawn.clone();
                for _ in 0..count {
                    drawn.word();
                }
                skipped.skip(count);
                assert_eq!(drawn.word(), skipped.word(), "{count} after {before}");
            }
        }
    }

    #[test]
    fn a_generator_continues_from_its_bytes() {
        let mut generator = Mt19937::new(3);
        generator.skip(1_000);
        let mut copy = Mt19937::from_bytes(&generator.to_bytes()).expect("its own bytes");
        assert_eq!(copy.permutation(1_000), generator.permutation(1_000));
        let mut bytes = generator.to_bytes();
        assert!(Mt19937::from_bytes(&bytes[1..]).is_none());
        bytes[WORDS * 4..].copy_from_slice(&625_u16.to_le_bytes());
        assert!(
            Mt19937::from_bytes(&bytes).is_none(),
            "used beyond the block"
        );
    }

    #[test]
    fn a_permutation_holds_every_number_once() {
        for count in [0_usize, 1, 2, 3, 64, 1_000] {
            let mut numbers = Mt19937::new(1).permutation(count);
            numbers.sort_unstable();
            assert!(numbers.iter().copied().eq(0..count as u32), "{count}");
        }
    }
}
