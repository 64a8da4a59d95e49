//! From a picture of any size to the bytes that a model was trained on.
//!
//! [`decode()`] reads an encoded picture under limits; [`Normalizer`] finds the ink and puts it where the training set has it.
//! Each step is a pure function in a module of its own: [`ink`] (what is ink), [`components`] (which ink is the digit), [`place`]
//! (size and position), over [`plane`] (resampling) and `trend` (how the light falls). Nothing here classifies.

pub mod components;
pub mod decode;
pub mod ink;
pub mod place;
pub mod plane;
mod trend;

pub use decode::{DecodeError, Limits, Picture, decode};

use components::BoundingBox;
use plane::Plane;

/// Longest side at which ink is looked for; larger pictures are reduced first.
const WORKING_SIDE: usize = 640;

/// How pictures become inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Grey and scaled to the size, nothing else.
    ScaleOnly,
    /// MNIST's: light ink on black, its box scaled, its centre of mass in the middle.
    Mnist,
}

/// What came of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Normalized {
    /// height × width bytes for the network.
    Input(Vec<u8>),
    /// No ink.
    Blank,
    /// Several digits, apart from each other: where they are, in pixels of the picture.
    Several(Vec<BoundingBox>),
}

/// Brings pictures into the form of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalizer {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// How.
    pub recipe: Recipe,
}

impl Normalizer {
    /// Normalises a decoded picture. Takes milliseconds: not for a runtime thread.
    #[must_use]
    pub fn picture(&self, picture: &Picture) -> Normalized {
        match self.recipe {
            Recipe::ScaleOnly => Normalized::Input(self.scale_only(&picture.luma())),
            Recipe::Mnist => self.mnist(
                &picture.planes(WORKING_SIDE),
                (picture.width, picture.height),
            ),
        }
    }

    /// Normalises height × width grey bytes.
    #[must_use]
    pub fn pixels(&self, pixels: &[u8]) -> Normalized {
        let plane = Plane::from_bytes(self.width, self.height, pixels);
        match self.recipe {
            Recipe::ScaleOnly => Normalized::Input(pixels.to_vec()),
            Recipe::Mnist => self.mnist(&[plane], (self.width, self.height)),
        }
    }

    fn scale_only(&self, luma: &Plane) -> Vec<u8> {
        luma.resized(self.width, self.height).to_bytes()
    }

    /// The recipe over one plane for a grey picture or three for a coloured one; `original` is (width, height).
    fn mnist(&self, planes: &[Plane], original: (usize, usize)) -> Normalized {
        if let [grey] = planes
            && (grey.width, grey.height) == (self.width, self.height)
            && place::is_in_form(grey)
        {
            return Normalized::Input(grey.to_bytes());
        }
        let Some(ink) = ink::find(planes) else {
            return Normalized::Blank;
        };
        match components::digits(&ink) {
            components::Digits::None => Normalized::Blank,
            components::Digits::One(digit) => {
                Normalized::Input(place::place(&digit, self.width, self.height))
            }
            components::Digits::Several(boxes) => {
                let back = boxes
                    .iter()
                    .map(|found| found.rescaled((ink.width, ink.height), original));
                Normalized::Several(back.collect())
            }
        }
    }
}

#[cfg(test)]
mod tests;
