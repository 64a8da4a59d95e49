//! What an image is made of: grey bytes, or grey values from 0 to 1. Background is 0 in both.

use super::sparse::{self, Entry};

/// How a raw pixel becomes an input value: (x / scale − mean) / std, in float32 and in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputScale {
    /// First divisor.
    pub scale: f32,
    /// Subtracted after it.
    pub mean: f32,
    /// Second divisor.
    pub std: f32,
}

/// An [`InputScale`], prepared for bytes.
pub struct Scaling {
    scale: InputScale,
    /// The value of each grey byte.
    values: [f32; 256],
    /// `values[x] − values[0]`: what ink adds to the background.
    ink: [f32; 256],
}

impl Scaling {
    pub(super) fn new(scale: InputScale) -> Self {
        let values: [f32; 256] =
            std::array::from_fn(|pixel| scaled(pixel as f32 / scale.scale, scale));
        Self {
            ink: values.map(|value| value - values[0]),
            values,
            scale,
        }
    }

    /// The value of the background.
    pub(super) fn background(&self) -> f32 {
        self.values[0]
    }
}

fn scaled(value: f32, scale: InputScale) -> f32 {
    (value - scale.mean) / scale.std
}

/// A pixel that the network takes.
pub trait Pixel: Copy + Default + PartialEq {
    /// The value that goes into the first layer.
    #[doc(hidden)]
    fn value(self, scaling: &Scaling) -> f32;

    /// Entries of an image: what each pixel with ink adds to the background. Returns how many there are.
    ///
    /// `entries` must have a place for each pixel.
    #[doc(hidden)]
    fn entries(image: &[Self], scaling: &Scaling, stride: usize, entries: &mut [Entry]) -> usize;
}

/// A grey byte, as IDX files and pictures have it.
impl Pixel for u8 {
    #[inline]
    fn value(self, scaling: &Scaling) -> f32 {
        scaling.values[usize::from(self)]
    }

    #[inline]
    fn entries(image: &[Self], scaling: &Scaling, stride: usize, entries: &mut [Entry]) -> usize {
        sparse::inked(image, &scaling.ink, stride, entries)
    }
}

/// A grey value from 0 to 1, as torchvision's `ToTensor` gives it: x / 255 is the byte x, to the bit where the model's
/// own divisor is 255. Values between two bytes are taken as they are.
impl Pixel for f32 {
    #[inline]
    fn value(self, scaling: &Scaling) -> f32 {
        scaled(self * (255.0 / scaling.scale.scale), scaling.scale)
    }

    fn entries(image: &[Self], scaling: &Scaling, stride: usize, entries: &mut [Entry]) -> usize {
        let mut count = 0;
        for (index, &pixel) in image.iter().enumerate() {
            if pixel != 0.0 {
                entries[count] = Entry {
                    offset: (index * stride) as u32,
                    value: pixel.value(scaling) - scaling.background(),
                };
                count += 1;
            }
        }
        count
    }
}
