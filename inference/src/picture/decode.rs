//! Decodes pictures within limits.
//!
//! The size in the header is checked before anything is decoded. Error messages are for clients.

use super::plane::{Plane, reduced_size};
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageReader, RgbaImage, error::LimitErrorKind,
};
use std::io::Cursor;

/// Limits of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of pixels.
    pub max_pixels: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: 20_000_000,
        }
    }
}

/// Longest side of a picture: the maximum of JPEG.
const MAX_SIDE: u32 = 65_535;
/// Memory that a decoder may take per pixel (16 bits, four channels), and in addition.
const ALLOC_PER_PIXEL: u64 = 8;
const ALLOC_FIXED: u64 = 16 << 20;

/// Errors of decoding a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes.
    #[error("the picture is empty")]
    Empty,
    /// An unknown format.
    #[error("not a picture in a known format: send PNG, JPEG, WebP, BMP or GIF")]
    Format,
    /// More pixels than the limit, by the header.
    #[error(
        "the picture has {width} x {height} pixels, more than the limit of {limit}: send a smaller one"
    )]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Maximum number of pixels.
        limit: u64,
    },
    /// The decoder would need more memory than the limit allows.
    #[error("the picture needs more memory than {limit} pixels take: send a smaller one")]
    TooMuchMemory {
        /// Maximum number of pixels.
        limit: u64,
    },
    /// A known format with invalid content.
    #[error("the picture is truncated or damaged")]
    Damaged,
}

/// A picture, upright, eight bits a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// [height, width, 3].
    rgb: Vec<u8>,
    grey: bool,
}

/// Decodes the first frame, applies the EXIF orientation, and composites transparency.
///
/// # Errors
///
/// As [`DecodeError`] lists.
pub fn decode(encoded: &[u8], limits: Limits) -> Result<Picture, DecodeError> {
    if encoded.is_empty() {
        return Err(DecodeError::Empty);
    }
    let mut reader = ImageReader::new(Cursor::new(encoded))
        .with_guessed_format()
        .map_err(|_| DecodeError::Format)?;
    if reader.format().is_none() {
        return Err(DecodeError::Format);
    }
    if let Some((width, height)) = png_size(encoded) {
        check_size(width, height, limits)?;
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
    check_size(width, height, limits)?;
    decoder.set_limits(allowed).map_err(refused)?;
    let orientation = decoder.orientation().map_err(refused)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(refused)?;
    picture.apply_orientation(orientation);
    Ok(Picture::from_rgba(&picture.into_rgba8()))
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

fn check_size(width: u32, height: u32, limits: Limits) -> Result<(), DecodeError> {
    if width == 0 || height == 0 {
        return Err(DecodeError::Damaged);
    }
    let limit = limits.max_pixels;
    if u64::from(width) * u64::from(height) > limit || width > MAX_SIDE || height > MAX_SIDE {
        return Err(DecodeError::TooLarge {
            width,
            height,
            limit,
        });
    }
    Ok(())
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

impl Picture {
    /// Composites transparency: on white, or on black when the visible ink is light.
    #[must_use]
    pub fn from_rgba(rgba: &RgbaImage) -> Self {
        let (width, height) = rgba.dimensions();
        let pixels = rgba.as_raw().as_chunks::<4>().0;
        let backdrop = u32::from(backdrop(pixels));
        let mut rgb = Vec::with_capacity(pixels.len() * 3);
        let mut grey = true;
        for &[red, green, blue, alpha] in pixels {
            let alpha = u32::from(alpha);
            let over = |channel: u8| {
                ((u32::from(channel) * alpha + backdrop * (255 - alpha) + 127) / 255) as u8
            };
            grey &= red == green && green == blue;
            rgb.extend([over(red), over(green), over(blue)]);
        }
        Self {
            width: width as usize,
            height: height as usize,
            rgb,
            grey,
        }
    }

    /// Luma (Rec. 601), from 0 to 1.
    #[must_use]
    pub fn luma(&self) -> Plane {
        let values = self
            .rgb
            .as_chunks::<3>()
            .0
            .iter()
            .map(|&pixel| luma(pixel) / 255.0)
            .collect();
        Plane {
            width: self.width,
            height: self.height,
            values,
        }
    }

    /// One plane of a grey picture, else red, green and blue; reduced to a longest side of `side`.
    #[must_use]
    pub fn planes(&self, side: usize) -> Vec<Plane> {
        let channels = if self.grey { 1 } else { 3 };
        let size = reduced_size(self.width, self.height, side);
        let plane = |channel: usize| {
            let bytes: Vec<u8> = self.rgb.iter().skip(channel).step_by(3).copied().collect();
            Plane::from_bytes(self.width, self.height, &bytes).resized(size.0, size.1)
        };
        (0..channels).map(plane).collect()
    }
}

fn luma([red, green, blue]: [u8; 3]) -> f32 {
    0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue)
}

/// The colour behind transparency: white, or black when the visible ink is light.
///
/// If little is transparent, most visible pixels are paper, and the colour is that of the paper.
fn backdrop(pixels: &[[u8; 4]]) -> u8 {
    let (mut visible, mut brightness, mut transparent) = (0.0_f64, 0.0_f64, 0_usize);
    for &[red, green, blue, alpha] in pixels {
        let share = f64::from(alpha) / 255.0;
        visible += share;
        brightness += share * f64::from(luma([red, green, blue]));
        transparent += usize::from(alpha < 128);
    }
    if visible <= 0.0 {
        return 255;
    }
    let light = brightness / visible > 127.5;
    let shows_ink = transparent * 4 >= pixels.len();
    if light == shows_ink { 0 } else { 255 }
}
