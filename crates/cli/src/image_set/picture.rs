//! A picture in grey pixels, decoded as the inference service does: orientation of EXIF applied,
//! transparency composited, luma of Rec. 601.

use super::Size;
use digits_dataset::MAX_SIDE;
use digits_picture::{DecodeError, Limits, Origin, decode_whole};
use image::{
    GrayImage,
    imageops::{self, FilterType},
};

/// Pictures with as many pixels as an image of a data set may have.
const LIMITS: Limits = Limits {
    max_pixels: (MAX_SIDE * MAX_SIDE) as u64,
    max_memory: 1 << 30,
};

/// A picture in grey, and what it was.
pub struct Picture {
    grey: GrayImage,
    had_colour: bool,
    origin: Origin,
}

impl Picture {
    /// Decodes the first frame of a picture, whole or not at all.
    ///
    /// # Errors
    /// As [`DecodeError`] lists.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let picture = decode_whole(bytes, LIMITS)?;
        let (width, height) = (picture.width as u32, picture.height as u32);
        Ok(Self {
            had_colour: !picture.is_grey(),
            origin: picture.origin,
            grey: GrayImage::from_raw(width, height, picture.grey_bytes())
                .expect("a grey pixel for each of the picture"),
        })
    }

    /// A picture of grey pixels, row by row.
    ///
    /// # Panics
    /// When there are not as many as the size has: a bug of the caller.
    #[must_use]
    pub fn of_grey(size: Size, pixels: Vec<u8>) -> Self {
        let (width, height) = (size.width as u32, size.height as u32);
        Self {
            had_colour: false,
            origin: Origin::default(),
            grey: GrayImage::from_raw(width, height, pixels).expect("a pixel for each of the size"),
        }
    }

    /// A picture of red, green and blue pixels, row by row, in luma of Rec. 601.
    ///
    /// # Panics
    /// As [`of_grey`](Self::of_grey).
    #[must_use]
    pub fn of_rgb(size: Size, pixels: impl Iterator<Item = [u8; 3]>) -> Self {
        let grey = pixels.map(|rgb| {
            let [red, green, blue] = rgb.map(f32::from);
            (0.299 * red + 0.587 * green + 0.114 * blue).round() as u8
        });
        Self {
            had_colour: true,
            ..Self::of_grey(size, grey.collect())
        }
    }

    pub(super) fn size(&self) -> Size {
        Size {
            height: self.grey.height() as usize,
            width: self.grey.width() as usize,
        }
    }
}

/// Counts of pictures that were converted.
#[derive(Debug, Default)]
pub(super) struct Conversions {
    colour: usize,
    deep: usize,
    transparent: usize,
    turned: usize,
    scaled: usize,
    size: Option<Size>,
}

impl Conversions {
    /// The pixels of a picture, scaled to `size` where it has another.
    pub(super) fn take(&mut self, picture: Picture, size: Size) -> Vec<u8> {
        self.colour += usize::from(picture.had_colour);
        self.deep += usize::from(picture.origin.had_16_bits);
        self.transparent += usize::from(picture.origin.was_transparent);
        self.turned += usize::from(picture.origin.was_turned);
        if picture.size() == size {
            return picture.grey.into_raw();
        }
        self.scaled += 1;
        self.size = Some(size);
        let (width, height) = (size.width as u32, size.height as u32);
        imageops::resize(&picture.grey, width, height, FilterType::Triangle).into_raw()
    }

    /// A sentence about each kind of conversion.
    pub(super) fn notes(&self) -> Vec<String> {
        let size = self
            .size
            .map(|size| format!("scaled to {}x{}", size.height, size.width));
        let size = size.unwrap_or_default();
        [
            (self.colour, "in colour", "converted to grey"),
            (self.deep, "of 16 bits", "converted to 8 bits"),
            (
                self.transparent,
                "with transparency",
                "put on white, or on black where their ink is light",
            ),
            (self.turned, "with an EXIF orientation", "turned upright"),
            (self.scaled, "of another size", size.as_str()),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, which, what)| match count {
            1 => format!("1 picture {which} was {what}"),
            count => format!("{count} pictures {which} were {what}"),
        })
        .collect()
    }
}
