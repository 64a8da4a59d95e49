//! Opens pictures, checks them against limits, and decodes them.
//!
//! The size in the header is checked before anything is decoded, and tells what decoding takes.

use crate::{
    formats,
    jpeg::{self, Jpeg},
    limits::{DecodeError, Limits},
    normalize::WORKING_SIDE,
    plane::reduced_size,
    png::Png,
    raster::Picture,
    segments,
    whole::Whole,
};

/// Memory for each pixel of the decoded picture: its bytes, and the planes of the normalizer.
const PER_PIXEL: u64 = 48;

/// A picture whose header was read and is within the limits.
pub struct PictureFile<'a> {
    format: Format<'a>,
    limits: Limits,
}

enum Format<'a> {
    Jpeg(Jpeg<'a>),
    Png(Png<'a>),
    Whole(Whole<'a>),
}

impl<'a> PictureFile<'a> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// As [`DecodeError`] lists.
    pub fn open(encoded: &'a [u8], limits: Limits) -> Result<Self, DecodeError> {
        if encoded.is_empty() {
            return Err(DecodeError::Empty);
        }
        let format = if let Some(jpeg) = jpeg::start(encoded) {
            Format::Jpeg(Jpeg::open(jpeg, limits)?)
        } else if let Some(error) = formats::unsupported(encoded) {
            return Err(error);
        } else if let Some(png) = Png::open(encoded, limits) {
            Format::Png(png?)
        } else {
            Format::Whole(Whole::open(encoded, limits)?)
        };
        Ok(Self { format, limits })
    }

    /// Memory that it takes to decode the picture to a longest side of `side` and to normalize it,
    /// in bytes, besides that of the file; an upper bound.
    #[must_use]
    pub fn memory(&self, side: usize) -> u64 {
        let (decoder, (width, height)) = match &self.format {
            Format::Jpeg(jpeg) => (jpeg.outline().memory(side), jpeg.outline().size()),
            Format::Png(png) => (png.memory(), png.size()),
            Format::Whole(whole) => (whole.memory(), whole.size()),
        };
        decoder + reduced_memory((width, height), side)
    }

    /// Decodes the first frame, reduced to a longest side of `side`, applies the EXIF orientation,
    /// and composites transparency.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TooMuchMemory`] or [`DecodeError::Damaged`].
    pub fn decode(self, side: usize) -> Result<Picture, DecodeError> {
        self.limits.check_memory(self.memory(side))?;
        match self.format {
            Format::Jpeg(jpeg) => jpeg.decode(side),
            Format::Png(png) => png.decode(side),
            Format::Whole(whole) => whole.decode(side),
        }
    }
}

/// What it takes to decode a picture with [`decode()`] and to normalize it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Columns times rows.
    pub pixels: u64,
    /// Bytes of memory, besides those of the file; an upper bound.
    pub memory: u64,
}

/// The weight of a picture by its first bytes alone, in microseconds; none if these are refused.
#[must_use]
pub fn weigh(encoded: &[u8], limits: Limits) -> Weight {
    let weight = |(width, height): (usize, usize), decoder: u64| Weight {
        pixels: (width * height) as u64,
        memory: decoder + reduced_memory((width, height), WORKING_SIDE),
    };
    let weighed = if let Some(jpeg) = jpeg::start(encoded) {
        segments::outline(jpeg).map(|it| match it.height {
            // It is behind the data.
            0 => Weight {
                pixels: limits.max_pixels,
                memory: limits.max_memory,
            },
            _ => weight(it.size(), it.memory(WORKING_SIDE)),
        })
    } else if let Some(png) = Png::open(encoded, limits) {
        png.ok().map(|it| weight(it.size(), it.memory()))
    } else {
        let whole = Whole::open(encoded, limits);
        whole.ok().map(|it| weight(it.size(), it.memory()))
    };
    let refused = |it: &Weight| it.pixels > limits.max_pixels || it.memory > limits.max_memory;
    weighed.filter(|it| !refused(it)).unwrap_or_default()
}

/// Memory of the reduced picture and its planes.
fn reduced_memory((width, height): (usize, usize), side: usize) -> u64 {
    let (width, height) = reduced_size(width, height, side);
    (width * height) as u64 * PER_PIXEL
}

/// Decodes a picture to the size at which ink is looked for.
///
/// # Errors
///
/// As [`DecodeError`] lists.
pub fn decode(encoded: &[u8], limits: Limits) -> Result<Picture, DecodeError> {
    PictureFile::open(encoded, limits)?.decode(WORKING_SIDE)
}

/// [`decode()`] with every pixel.
///
/// # Errors
///
/// As [`DecodeError`] lists.
pub fn decode_whole(encoded: &[u8], limits: Limits) -> Result<Picture, DecodeError> {
    PictureFile::open(encoded, limits)?.decode(usize::MAX)
}
