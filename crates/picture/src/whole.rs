//! Decodes WebP, BMP and GIF, as a whole.

use crate::{
    builder::PictureBuilder,
    limits::{DecodeError, Limits, MAX_SIDE},
    raster::Picture,
};
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, error::LimitErrorKind};
use std::io::Cursor;

/// Memory of a decoder: in any case, and for a pixel.
const FIXED: u64 = 1 << 20;
const PER_PIXEL: u64 = 8;

/// A picture whose header was read.
pub struct Whole<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    limits: Limits,
}

impl<'a> Whole<'a> {
    /// Reads the header and checks the size in it.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Format`] for an unknown format, [`DecodeError::Damaged`], and those of
    /// [`Limits`].
    pub fn open(encoded: &'a [u8], limits: Limits) -> Result<Self, DecodeError> {
        let mut reader = ImageReader::new(Cursor::new(encoded))
            .with_guessed_format()
            .map_err(|_| DecodeError::Format)?;
        if reader.format().is_none() {
            return Err(DecodeError::Format);
        }
        let mut allowed = image::Limits::default();
        allowed.max_image_width = Some(MAX_SIDE);
        allowed.max_image_height = Some(MAX_SIDE);
        allowed.max_alloc = Some(limits.max_memory);
        reader.limits(allowed.clone());
        let refused = |error| from_image(error, limits);
        let mut decoder = reader.into_decoder().map_err(refused)?;
        let (width, height) = decoder.dimensions();
        limits.check(width, height)?;
        decoder.set_limits(allowed).map_err(refused)?;
        Ok(Self {
            decoder: Box::new(decoder),
            limits,
        })
    }

    /// Columns and rows, as they are stored.
    pub fn size(&self) -> (usize, usize) {
        let (width, height) = self.decoder.dimensions();
        (width as usize, height as usize)
    }

    /// Memory that decoding takes, in bytes.
    pub fn memory(&self) -> u64 {
        let (width, height) = self.decoder.dimensions();
        FIXED + u64::from(width) * u64::from(height) * PER_PIXEL
    }

    /// Decodes the first frame, reduced to a longest side of `side`, and turns it upright.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Damaged`].
    pub fn decode(mut self, side: usize) -> Result<Picture, DecodeError> {
        let size = self.size();
        let refused = |error| from_image(error, self.limits);
        let orientation = self.decoder.orientation().map_err(refused)?;
        let image = DynamicImage::from_decoder(self.decoder).map_err(refused)?;
        let (channels, bytes) = match image {
            DynamicImage::ImageLuma8(grey) => (1, grey.into_raw()),
            DynamicImage::ImageRgb8(rgb) => (3, rgb.into_raw()),
            other => (4, other.into_rgba8().into_raw()),
        };
        let mut builder = PictureBuilder::new(size, channels, side);
        let rows = bytes.chunks_exact(size.0 * channels);
        rows.for_each(|row| builder.push(row));
        Ok(builder.finish().turned(orientation))
    }
}

fn from_image(error: ImageError, limits: Limits) -> DecodeError {
    match error {
        ImageError::Limits(error) => match error.kind() {
            LimitErrorKind::DimensionError | LimitErrorKind::InsufficientMemory => {
                DecodeError::TooMuchMemory {
                    limit: limits.max_memory,
                }
            }
            _ => DecodeError::Damaged,
        },
        ImageError::Unsupported(_) => DecodeError::Format,
        _ => DecodeError::Damaged,
    }
}
