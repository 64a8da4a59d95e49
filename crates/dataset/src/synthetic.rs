//! Synthetic digits: 28×28 images of pen strokes, for tests and where MNIST is not available.
//!
//! Each digit has several styles; each image bends, slants, rotates, scales and shifts one of them,
//! with a pen of random width and some noise. The classes are about equally frequent.
//!
//! Image `i` of a part is a function of the seed, the part and `i` alone, and the same on every
//! platform: only IEEE 754 binary32 additions, multiplications, divisions and square roots are
//! used, which are exactly specified, and nothing of the platform's math library. A test pins the
//! bytes.
//!
//! These are no replacement for MNIST: a 784-128-10 net that gets 99.7 % of these right after three
//! epochs gets 73 % of MNIST's test set.

mod glyphs;
mod pen;

pub use pen::SIDE;

use crate::random::Random;
use crate::{Dataset, Images, LabelledImages, numbered_names};

/// Most images that a part may have.
pub const MAX_IMAGES: usize = 1_000_000;
/// Name of the data set.
pub const NAME: &str = "synthetic";

/// Number and seed of the digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Images for training and validation, 1 to [`MAX_IMAGES`].
    pub train: usize,
    /// Images for the test, 1 to [`MAX_IMAGES`].
    pub test: usize,
    /// Another seed draws other digits.
    pub seed: u64,
}

impl Default for Options {
    /// As many as MNIST has; seed 0.
    fn default() -> Self {
        Self {
            train: 60_000,
            test: 10_000,
            seed: 0,
        }
    }
}

/// Draws the digits, on the calling thread: about 15 µs each in a release build.
///
/// # Panics
///
/// When a part is to have no image or more than [`MAX_IMAGES`]: a bug of the caller.
#[must_use]
pub fn generate(options: &Options) -> Dataset {
    let train = part(options.seed, 0, options.train);
    let test = part(options.seed, 1, options.test);
    Dataset::new(NAME, train, test, numbered_names(10)).expect("drawn digits fit together")
}

fn part(seed: u64, part: u64, count: usize) -> LabelledImages {
    assert!(
        (1..=MAX_IMAGES).contains(&count),
        "draw 1 to {MAX_IMAGES} digits, not {count}"
    );
    let mut pixels = Vec::with_capacity(count * SIDE * SIDE);
    let mut labels = Vec::with_capacity(count);
    for index in 0..count {
        let mut random = Random::of(seed, part, index as u64);
        let label = random.below(10);
        pixels.extend_from_slice(&pen::draw(label, &mut random));
        labels.push(label as u16);
    }
    LabelledImages {
        images: Images {
            count,
            height: SIDE,
            width: SIDE,
            pixels: pixels.into(),
        },
        labels,
    }
}

#[cfg(test)]
mod tests;
