//! Pixels of an image: grey bytes, or grey values from 0 to 1. Background is 0 in both.

use super::{
    panels::WIDTH,
    sparse::{self, Entry},
};
use pulp::{Arch, Simd, WithSimd};

/// Conversion of a raw pixel to an input value: (x / scale − mean) / std, in float32 and in this
/// order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputScale {
    /// First divisor.
    pub scale: f32,
    /// Subtracted after it.
    pub mean: f32,
    /// Second divisor.
    pub std: f32,
}

impl InputScale {
    fn of(self, value: f32) -> f32 {
        (value - self.mean) / self.std
    }
}

/// An [`InputScale`], prepared for bytes.
pub struct Scaling {
    scale: InputScale,
    /// The value of each grey byte.
    values: [f32; 256],
    /// `values[x] − values[0]`: the difference from the background.
    ink: [f32; 256],
    /// Computes the same bits without a table, many at a time; `None` if it would not.
    formula: Option<Formula>,
}

impl Scaling {
    pub(super) fn new(scale: InputScale) -> Self {
        let values: [f32; 256] = std::array::from_fn(|pixel| scale.of(pixel as f32 / scale.scale));
        let formula = Formula::new(scale);
        let bytes = 0..=u8::MAX;
        let exact = bytes
            .zip(values)
            .all(|(byte, value)| formula.value(byte).to_bits() == value.to_bits());
        Self {
            ink: values.map(|value| value - values[0]),
            values,
            scale,
            formula: exact.then_some(formula),
        }
    }

    /// The value of a grey value from 0 to 1.
    fn of_grey(&self, grey: f32) -> f32 {
        self.scale.of(grey * (255.0 / self.scale.scale))
    }

    /// The value of the background.
    pub(super) fn background(&self) -> f32 {
        self.values[0]
    }
}

/// An [`InputScale`] without divisions, which are slow.
#[derive(Clone, Copy, Debug)]
struct Formula {
    scale: Divisor,
    mean: f32,
    std: Divisor,
}

impl Formula {
    fn new(scale: InputScale) -> Self {
        Self {
            scale: Divisor::new(scale.scale),
            mean: scale.mean,
            std: Divisor::new(scale.std),
        }
    }

    #[inline(always)]
    fn value(self, byte: u8) -> f32 {
        self.std.of(self.scale.of(f32::from(byte)) - self.mean)
    }
}

/// Divides by multiplying with the reciprocal and correcting once, which gives the rounded quotient
/// (Markstein 1990) except for a few divisors.
#[derive(Clone, Copy, Debug)]
struct Divisor {
    divisor: f32,
    reciprocal: f32,
}

impl Divisor {
    fn new(divisor: f32) -> Self {
        Self {
            divisor,
            reciprocal: divisor.recip(),
        }
    }

    #[inline(always)]
    fn of(self, dividend: f32) -> f32 {
        let quotient = dividend * self.reciprocal;
        let rest = (-quotient).mul_add(self.divisor, dividend);
        rest.mul_add(self.reciprocal, quotient)
    }
}

/// The formula over many bytes, compiled for the widest vector registers of this machine.
struct Apply<'a> {
    formula: Formula,
    bytes: &'a [u8],
    values: &'a mut [f32],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (value, &byte) in self.values.iter_mut().zip(self.bytes) {
            *value = self.formula.value(byte);
        }
    }
}

/// A pixel that the network takes.
pub trait Pixel: Copy + Default + PartialEq {
    /// The values that go into the first layer; `values` has a place for each pixel.
    #[doc(hidden)]
    fn values(pixels: &[Self], scaling: &Scaling, values: &mut [f32]);

    /// Entries of an image: what each pixel with ink adds to the background. Returns how many there
    /// are.
    ///
    /// `entries` must have a place for each pixel.
    #[doc(hidden)]
    fn entries(image: &[Self], scaling: &Scaling, entries: &mut [Entry]) -> usize;

    /// Number of pixels with ink.
    #[doc(hidden)]
    fn inked(image: &[Self]) -> usize;
}

/// A grey byte, as IDX files and pictures have it.
impl Pixel for u8 {
    fn values(pixels: &[Self], scaling: &Scaling, values: &mut [f32]) {
        if let Some(formula) = scaling.formula {
            Arch::new().dispatch(Apply {
                formula,
                bytes: pixels,
                values,
            });
            return;
        }
        for (value, &pixel) in values.iter_mut().zip(pixels) {
            *value = scaling.values[usize::from(pixel)];
        }
    }

    #[inline]
    fn entries(image: &[Self], scaling: &Scaling, entries: &mut [Entry]) -> usize {
        sparse::inked(image, &scaling.ink, entries)
    }

    fn inked(image: &[Self]) -> usize {
        // Sums of bytes in bytes, many at a time, in parts that cannot overflow.
        let part = |part: &[u8]| part.iter().map(|&pixel| u8::from(pixel != 0)).sum::<u8>();
        let parts = image.chunks(u8::MAX as usize / 16 * 16);
        parts.map(|pixels| usize::from(part(pixels))).sum()
    }
}

/// A grey value from 0 to 1, as torchvision's `ToTensor` gives it: x / 255 is the byte x, to the
/// bit if the model's own divisor is 255. Values between two bytes are not rounded.
impl Pixel for f32 {
    fn values(pixels: &[Self], scaling: &Scaling, values: &mut [f32]) {
        for (value, &pixel) in values.iter_mut().zip(pixels) {
            *value = scaling.of_grey(pixel);
        }
    }

    fn entries(image: &[Self], scaling: &Scaling, entries: &mut [Entry]) -> usize {
        let mut count = 0;
        for (index, &pixel) in image.iter().enumerate() {
            if pixel != 0.0 {
                entries[count] = Entry {
                    offset: (index * WIDTH) as u32,
                    value: scaling.of_grey(pixel) - scaling.background(),
                };
                count += 1;
            }
        }
        count
    }

    fn inked(image: &[Self]) -> usize {
        image.iter().filter(|&&pixel| pixel != 0.0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_gives_the_same_bits_as_the_table() {
        let scales = [
            (255.0, 0.0, 1.0),
            (255.0, 0.1307, 0.3081),
            (256.0, 0.5, 0.5),
            (1.0, 33.3, 78.6),
            (3.0, -7.0, 1e-3),
        ];
        // Not a multiple of any vector.
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(1_000 + 7).collect();
        for (scale, mean, std) in scales {
            let scaling = Scaling::new(InputScale { scale, mean, std });
            assert!(scaling.formula.is_some(), "{scale} {mean} {std}");
            let mut values = vec![f32::NAN; bytes.len()];
            Pixel::values(&bytes, &scaling, &mut values);
            for (&byte, value) in bytes.iter().zip(values) {
                let expected = (f32::from(byte) / scale - mean) / std;
                assert_eq!(value.to_bits(), expected.to_bits(), "{byte}");
            }
        }
    }

    #[test]
    fn pixels_with_ink_are_counted() {
        for length in [0, 1, 239, 240, 241, 784, 1_000] {
            let all = vec![u8::MAX; length];
            assert_eq!(Pixel::inked(&all), length);
            let some: Vec<u8> = (0..length).map(|at| u8::from(at % 3 == 0)).collect();
            assert_eq!(Pixel::inked(&some), length.div_ceil(3));
        }
    }

    #[test]
    fn a_scale_whose_formula_is_not_exact_uses_the_table() {
        // Its reciprocal is too large for a number.
        let scale = InputScale {
            scale: 2e-39,
            mean: 0.0,
            std: 1.0,
        };
        let scaling = Scaling::new(scale);
        assert!(scaling.formula.is_none());
        let mut values = [f32::NAN; 2];
        Pixel::values(&[0_u8, 255], &scaling, &mut values);
        assert_eq!(values, [0.0, f32::INFINITY]);
    }
}
