//! Images that replace others of a batch: digits in styles that the data set may lack, letters, and
//! outliers.
//!
//! They are drawn in main memory, because a batch has few of them.

use super::super::philox::{Philox, Purpose, StepPosition};
use super::Outliers;
use super::settings::{Replaced, Size};
use digits_dataset::styles;

/// What replaces the last images of a batch.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Replacements<'a> {
    /// How many there are of each kind.
    pub(in super::super) counts: Replaced,
    /// The digits of the images that styles replace; a style keeps the digit.
    pub(in super::super) digits: &'a [u8],
    /// Height and width of the images.
    pub(in super::super) size: Size,
    /// Source of the outliers.
    pub(in super::super) outliers: Outliers<'a>,
}

impl Replacements<'_> {
    /// Draws them as raw pixels, one after another.
    pub(in super::super) fn draw(&self, at: StepPosition) -> Vec<u8> {
        let size = (self.size.height, self.size.width);
        let mut pixels = Vec::with_capacity(self.counts.all() * size.0 * size.1);
        let of_styles = keys(self.counts.styles, &mut Philox::new(at, Purpose::Styles));
        for (&digit, key) in self.digits.iter().zip(of_styles) {
            pixels.extend(styles::draw(digit, key, size));
        }
        for key in keys(self.counts.letters, &mut Philox::new(at, Purpose::Letters)) {
            pixels.extend(styles::draw_letter(key, size));
        }
        pixels.extend(self.outliers.draw(self.counts.outliers, at));
        pixels
    }
}

/// A key of 64 bits for each of `count` images.
fn keys(count: usize, counter: &mut Philox) -> Vec<u64> {
    let mut words = vec![0; 2 * count];
    counter.words(&mut words);
    let key = |pair: &[u32]| u64::from(pair[0]) << 32 | u64::from(pair[1]);
    words.chunks_exact(2).map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_dataset::Images;

    const AT: StepPosition = StepPosition {
        seed: 17,
        epoch: 2,
        step: 9,
    };
    const PIXELS: usize = 28 * 28;

    fn drawn(counts: Replaced, digits: &[u8], at: StepPosition) -> Vec<u8> {
        let images = Images {
            count: 2,
            height: 28,
            width: 28,
            pixels: vec![100; 2 * PIXELS].into(),
        };
        let size = Size {
            height: 28,
            width: 28,
        };
        let outliers = Outliers {
            images: &images,
            train: &[0, 1],
        };
        let replacements = Replacements {
            counts,
            digits,
            size,
            outliers,
        };
        replacements.draw(at)
    }

    #[test]
    fn each_kind_is_drawn_on_its_own() {
        let counts = |styles, letters, outliers| Replaced {
            styles,
            letters,
            outliers,
        };
        let all = drawn(counts(2, 3, 4), &[1, 7], AT);
        let apart = [
            drawn(counts(2, 0, 0), &[1, 7], AT),
            drawn(counts(0, 3, 0), &[], AT),
            drawn(counts(0, 0, 4), &[], AT),
        ];
        assert_eq!(all, apart.concat());
        assert_eq!(all.len(), 9 * PIXELS);
        assert_ne!(all[..PIXELS], all[PIXELS..2 * PIXELS]);
    }

    #[test]
    fn images_are_a_function_of_the_step() {
        let counts = Replaced {
            styles: 1,
            letters: 1,
            outliers: 0,
        };
        let later = StepPosition { step: 10, ..AT };
        assert_eq!(drawn(counts, &[4], AT), drawn(counts, &[4], AT));
        let (now, then) = (drawn(counts, &[4], AT), drawn(counts, &[4], later));
        assert_ne!(now[..PIXELS], then[..PIXELS]);
        assert_ne!(now[PIXELS..], then[PIXELS..]);
    }
}
