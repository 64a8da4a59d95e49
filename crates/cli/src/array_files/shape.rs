//! The shape of the images in an array or a row of numbers.

use crate::{
    Error,
    image_set::{Picture, Size},
};
use digits_dataset::MAX_SIDE;

/// Images of grey or colour pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) size: Size,
    channels: Channels,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channels {
    Grey,
    /// Red, green and blue of each pixel.
    Interleaved,
    /// All red pixels, all green ones, all blue ones.
    Planar,
}

impl Shape {
    /// Of rows of `count` pixels: squares, or as `size` has so many.
    pub(super) fn flat(count: usize, size: Option<Size>, name: &str) -> Result<Self, Error> {
        let side = count.isqrt();
        let square = (side > 0 && side * side == count).then_some(Size {
            height: side,
            width: side,
        });
        let given = size.filter(|it| it.height * it.width == count);
        given.or(square).map_or_else(
            || {
                let reason = format!(
                    "has {count} pixels for each image, which make no square: give their height and width with --size"
                );
                Err(Error::input(name, reason))
            },
            |size| Self::checked(size, Channels::Grey, name),
        )
    }

    /// Of an array with these dimensions, of which the first counts the images.
    pub(super) fn of(dimensions: &[usize], size: Option<Size>, name: &str) -> Result<Self, Error> {
        let (height, width, channels) = match *dimensions {
            [_, count] => return Self::flat(count, size, name),
            [_, height, width] | [_, height, width, 1] | [_, 1, height, width] => {
                (height, width, Channels::Grey)
            }
            [_, height, width, 3] => (height, width, Channels::Interleaved),
            [_, 3, height, width] => (height, width, Channels::Planar),
            _ => {
                let reason = format!(
                    "has the shape {dimensions:?}, which is not that of images: images, rows, columns and perhaps 1 or 3 colours"
                );
                return Err(Error::input(name, reason));
            }
        };
        Self::checked(Size { height, width }, channels, name)
    }

    fn checked(size: Size, channels: Channels, name: &str) -> Result<Self, Error> {
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&size.height) || !sides.contains(&size.width) {
            let reason = format!(
                "has images of {}x{} pixels; a side has 1 to {MAX_SIDE}",
                size.height, size.width
            );
            return Err(Error::input(name, reason));
        }
        Ok(Self { size, channels })
    }

    /// Values of an image.
    pub(super) fn values(self) -> usize {
        let pixels = self.size.height * self.size.width;
        match self.channels {
            Channels::Grey => pixels,
            Channels::Interleaved | Channels::Planar => 3 * pixels,
        }
    }

    /// The picture of an image's values.
    pub(super) fn picture(self, bytes: Vec<u8>) -> Picture {
        match self.channels {
            Channels::Grey => Picture::of_grey(self.size, bytes),
            Channels::Interleaved => {
                let pixels = bytes.as_chunks::<3>().0.iter().copied();
                Picture::of_rgb(self.size, pixels)
            }
            Channels::Planar => {
                let planes = bytes.len() / 3;
                let pixels =
                    (0..planes).map(|at| [0, 1, 2].map(|plane| bytes[plane * planes + at]));
                Picture::of_rgb(self.size, pixels)
            }
        }
    }
}
