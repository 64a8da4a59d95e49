//! [`Normalizer`]: the steps from a picture to the input of a network, in their order.

use crate::{
    channel,
    components::{self, BoundingBox, Digits},
    ink,
    number::Lattice,
    place,
    plane::Plane,
    raster::Picture,
};

/// Longest sides at which ink is looked for, in turn: one that leaves canvases as they are,
/// and where the digits are too small then, the size to which pictures are decoded.
const FIRST_SIDE: usize = 320;
pub(crate) const WORKING_SIDE: usize = 640;
/// Longest side of a digit that is not too small: twice what it becomes.
const ENOUGH: usize = 40;

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
            Recipe::Mnist => match self.search(picture) {
                Search::InForm(_, bytes) => Normalized::Input(bytes),
                Search::Blank => Normalized::Blank,
                Search::Ink(ink, digits) => {
                    let size = (ink.width, ink.height);
                    let digits = digits.unwrap_or_else(|| components::digits(&ink));
                    self.grouped(digits, size, (picture.width, picture.height))
                }
            },
        }
    }

    /// Takes a decoded picture apart into what may be digits, at most `most` segments. As
    /// [`Self::picture`] if pictures are only scaled, or if there are too many digits.
    #[must_use]
    pub fn number(&self, picture: &Picture, most: usize) -> Normalized {
        if self.recipe == Recipe::ScaleOnly {
            return self.picture(picture);
        }
        let original = (picture.width, picture.height);
        let ink = match self.search(picture) {
            Search::InForm(plane, bytes) => {
                let digit = components::inked(&plane);
                return Normalized::Written(Lattice::of_digit(digit, bytes));
            }
            Search::Blank => return Normalized::Blank,
            Search::Ink(ink, _) => ink,
        };
        match Lattice::of(&ink, (self.width, self.height), most) {
            None => self.grouped(components::digits(&ink), (ink.width, ink.height), original),
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
            Recipe::Mnist if self.is_in_form(&plane) => Normalized::Input(pixels.to_vec()),
            Recipe::Mnist => match ink::find(vec![plane]) {
                None => Normalized::Blank,
                Some(ink) => {
                    let size = (self.width, self.height);
                    self.grouped(components::digits(&ink), size, size)
                }
            },
        }
    }

    fn scale_only(&self, luma: &Plane) -> Vec<u8> {
        luma.resized(self.width, self.height).to_bytes()
    }

    /// Looks for ink at the first side, and at the full one if a digit is too small there.
    fn search(&self, picture: &Picture) -> Search {
        let channels = channel::sufficient(picture);
        let first = picture.planes(channels.clone(), FIRST_SIDE);
        let is_reduced = picture.is_longer_than(FIRST_SIDE);
        if let [grey] = &first[..]
            && picture.is_grey()
            && !is_reduced
            && self.is_in_form(grey)
        {
            return Search::InForm(grey.clone(), grey.to_bytes());
        }
        let ink = ink::find(first);
        if !is_reduced {
            return ink.map_or(Search::Blank, |ink| Search::Ink(ink, None));
        }
        if let Some(ink) = ink {
            let digits = components::digits(&ink);
            if smallest(&digits) >= ENOUGH {
                return Search::Ink(ink, Some(digits));
            }
        }
        let ink = ink::find(picture.planes(channels, WORKING_SIDE));
        ink.map_or(Search::Blank, |ink| Search::Ink(ink, None))
    }

    fn is_in_form(&self, grey: &Plane) -> bool {
        (grey.width, grey.height) == (self.width, self.height) && place::is_in_form(grey)
    }

    /// The digits of ink of a size, from a picture of another.
    fn grouped(
        &self,
        digits: Digits,
        size: (usize, usize),
        original: (usize, usize),
    ) -> Normalized {
        match digits {
            Digits::None => Normalized::Blank,
            Digits::One(digit) => Normalized::Input(place::place(&digit, self.width, self.height)),
            Digits::Several(boxes) => {
                let back = boxes.iter().map(|found| found.rescaled(size, original));
                Normalized::Several(back.collect())
            }
        }
    }
}

/// What was found in a picture.
enum Search {
    /// It has the form of the training set already: its plane and bytes.
    InForm(Plane, Vec<u8>),
    /// No ink.
    Blank,
    /// Ink, and the digits in it if they were looked for.
    Ink(Plane, Option<Digits>),
}

/// Longest side of the smallest digit; 0 if there is none.
fn smallest(digits: &Digits) -> usize {
    match digits {
        Digits::None => 0,
        Digits::One(digit) => digit.width.max(digit.height),
        Digits::Several(boxes) => {
            let sides = boxes.iter().map(|it| it.width.max(it.height));
            sides.min().unwrap_or(0)
        }
    }
}
