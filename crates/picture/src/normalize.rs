//! [`Normalizer`]: the steps from a picture to the input of a network, in their order.

use crate::{
    components::{self, BoundingBox},
    ink, jpeg, place,
    plane::Plane,
    raster::Picture,
};

/// Longest side at which ink is looked for; larger pictures are reduced first.
const WORKING_SIDE: usize = jpeg::ENOUGH as usize;

/// Normalization of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Converted to grey and resized.
    ScaleOnly,
    /// As MNIST: light ink on black, the bounding box scaled, the centre of mass in the middle.
    Mnist,
}

/// A normalized picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Normalized {
    /// height × width bytes for the network.
    Input(Vec<u8>),
    /// No ink.
    Blank,
    /// Several separate digits: their boxes, in pixels of the picture.
    Several(Vec<BoundingBox>),
}

/// Normalizes pictures for one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalizer {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// The recipe of this normalizer.
    pub recipe: Recipe,
}

impl Normalizer {
    /// Normalizes a decoded picture. Takes milliseconds: not for a runtime thread.
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

    /// Normalizes height × width grey bytes.
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

    /// MNIST's recipe, over one plane of a grey picture or three of a colour one; `original` is
    /// (width, height).
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
