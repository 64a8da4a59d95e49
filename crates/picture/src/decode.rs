//! Decodes pictures within limits.
//!
//! The size in the header is checked before anything is decoded.

use crate::{
    formats, jpeg,
    limits::{DecodeError, Limits, MAX_SIDE},
    raster::Picture,
};
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageReader, error::LimitErrorKind,
    metadata::Orientation,
};
use std::io::Cursor;

/// Memory that a decoder may take per pixel (16 bits, four channels), and in addition.
const ALLOC_PER_PIXEL: u64 = 8;
const ALLOC_FIXED: u64 = 16 << 20;

/// Decodes the first frame, applies the EXIF orientation, and composites transparency. A large JPEG
/// is decoded at a reduced scale, which is enough for the [`Normalizer`](crate::Normalizer).
///
/// # Errors
///
/// As [`DecodeError`] lists.
pub fn decode(encoded: &[u8], limits: Limits) -> Result<Picture, DecodeError> {
    decode_to(encoded, limits, jpeg::ENOUGH)
}

/// [`decode()`] with every pixel.
///
/// # Errors
///
/// As [`DecodeError`] lists.
pub fn decode_whole(encoded: &[u8], limits: Limits) -> Result<Picture, DecodeError> {
    decode_to(encoded, limits, u32::MAX)
}

/// `enough`: the longest side that is enough of a picture.
fn decode_to(encoded: &[u8], limits: Limits, enough: u32) -> Result<Picture, DecodeError> {
    if encoded.is_empty() {
        return Err(DecodeError::Empty);
    }
    if let Some(jpeg) = jpeg::start(encoded) {
        return jpeg::decode(jpeg, limits, enough);
    }
    if let Some(error) = formats::unsupported(encoded) {
        return Err(error);
    }
    let mut reader = ImageReader::new(Cursor::new(encoded))
        .with_guessed_format()
        .map_err(|_| DecodeError::Format)?;
    if reader.format().is_none() {
        return Err(DecodeError::Format);
    }
    if let Some((width, height)) = png_size(encoded) {
        limits.check(width, height)?;
    }
    let mut allowed = image::Limits::default();
    allowed.max_image_width = Some(MAX_SIDE);
    allowed.max_image_height = Some(MAX_SIDE);
    allowed.max_alloc = Some(
        limits
            .max_pixels
            .saturating_mul(ALLOC_PER_PIXEL)
            .saturating_add(ALLOC_FIXED),
    );
    reader.limits(allowed.clone());
    let refused = |error| from_image(error, limits);
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    decoder.set_limits(allowed).map_err(refused)?;
    let orientation = decoder.orientation().map_err(refused)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(refused)?;
    picture.apply_orientation(orientation);
    let color = picture.color();
    let mut decoded = Picture::from_rgba(&picture.into_rgba8());
    decoded.origin.had_16_bits = color.bytes_per_pixel() > color.channel_count();
    decoded.origin.was_turned = orientation != Orientation::NoTransforms;
    Ok(decoded)
}

/// The size in a PNG's header; the decoder would allocate before it checks it.
fn png_size(encoded: &[u8]) -> Option<(u32, u32)> {
    let header = encoded
        .strip_prefix(b"\x89PNG\r\n\x1a\n")?
        .get(4..)?
        .strip_prefix(b"IHDR")?;
    let number = |start: usize| Some(u32::from_be_bytes(*header.get(start..)?.first_chunk()?));
    Some((number(0)?, number(4)?))
}

fn from_image(error: ImageError, limits: Limits) -> DecodeError {
    match error {
        ImageError::Limits(error) => match error.kind() {
            LimitErrorKind::DimensionError | LimitErrorKind::InsufficientMemory => {
                DecodeError::TooMuchMemory {
                    limit: limits.max_pixels,
                }
            }
            _ => DecodeError::Damaged,
        },
        ImageError::Unsupported(_) => DecodeError::Format,
        _ => DecodeError::Damaged,
    }
}
