//! [`Normalizer`]: the steps from a picture to the input of a network, in their order.

use crate::{
    components::{self, BoundingBox},
    ink,
    number::Lattice,
    place,
    plane::Plane,
    raster::Picture,
};

/// Longest side at which ink is looked for; larger pictures are reduced while they are decoded.
pub(crate) const WORKING_SIDE: usize = 640;

/// Normalization of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Converted to grey and resized.
    ScaleOnly,
    /// As MNIST: light ink on black, the bounding box scaled, the centre of mass in the middle.
    Mnist,
}

/// A normalized picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Normalized {
    /// height × width bytes for the network.
    Input(Vec<u8>),
    /// No ink.
    Blank,
    /// Several separate digits: their boxes, in pixels of the picture.
    Several(Vec<BoundingBox>),
    /// What may be digits; only of [`Normalizer::number`].
    Written(Lattice),
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

    /// Takes a decoded picture apart into what may be digits, at most `most` segments. As
    /// [`Self::picture`] if pictures are only scaled, or if there are too many digits.
    #[must_use]
    pub fn number(&self, picture: &Picture, most: usize) -> Normalized {
        if self.recipe == Recipe::ScaleOnly {
            return self.picture(picture);
        }
        let planes = picture.planes(WORKING_SIDE);
        let original = (picture.width, picture.height);
        if let Some(bytes) = self.in_form(&planes) {
            let digit = components::inked(&planes[0]);
            return Normalized::Written(Lattice::of_digit(digit, bytes));
        }
        let Some(ink) = ink::find(&planes) else {
            return Normalized::Blank;
        };
        match Lattice::of(&ink, (self.width, self.height), most) {
            None => self.grouped(&ink, original),
            Some(lattice) if lattice.lines.is_empty() => Normalized::Blank,
            Some(mut lattice) => {
                for segment in lattice.lines.iter_mut().flat_map(|line| &mut line.segments) {
                    segment.bounds = segment.bounds.rescaled((ink.width, ink.height), original);
                }
                Normalized::Written(lattice)
            }
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
        if let Some(bytes) = self.in_form(planes) {
            return Normalized::Input(bytes);
        }
        match ink::find(planes) {
            None => Normalized::Blank,
            Some(ink) => self.grouped(&ink, original),
        }
    }

    /// The bytes of a picture that has the form of the training set already.
    fn in_form(&self, planes: &[Plane]) -> Option<Vec<u8>> {
        let [grey] = planes else {
            return None;
        };
        let is_in_form =
            (grey.width, grey.height) == (self.width, self.height) && place::is_in_form(grey);
        is_in_form.then(|| grey.to_bytes())
    }

    /// Ink that is close together is one digit.
    fn grouped(&self, ink: &Plane, original: (usize, usize)) -> Normalized {
        match components::digits(ink) {
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
