//! Decodes a picture into grey pixels as the inference service does: orientation of EXIF applied,
//! transparency composited, luma of Rec. 601.

use super::size::Size;
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
pub(super) struct Decoded {
    grey: GrayImage,
    had_colour: bool,
    origin: Origin,
}

impl Decoded {
    pub(super) fn size(&self) -> Size {
        Size {
            height: self.grey.height() as usize,
            width: self.grey.width() as usize,
        }
    }
}

/// Decodes the first frame of a picture, whole or not at all.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let picture = decode_whole(bytes, LIMITS)?;
    let (width, height) = (picture.width as u32, picture.height as u32);
    Ok(Decoded {
        had_colour: !picture.is_grey(),
        origin: picture.origin,
        grey: GrayImage::from_raw(width, height, picture.grey_bytes())
            .expect("a grey pixel for each of the picture"),
    })
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
    pub(super) fn take(&mut self, picture: Decoded, size: Size) -> Vec<u8> {
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
