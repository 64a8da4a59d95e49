//! Decodes a picture into grey pixels as the inference service does: orientation of EXIF applied,
//! transparency composited, luma of Rec. 601.

use super::size::Size;
use digits_dataset::MAX_SIDE;
use image::{
    DynamicImage, GrayImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits,
    imageops::{self, FilterType},
    metadata::Orientation,
};
use std::io::{self, Cursor};

/// Largest decoded picture, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// A picture in grey, and what it was.
pub(super) struct Decoded {
    grey: GrayImage,
    had_colour: bool,
    had_16_bits: bool,
    was_transparent: bool,
    was_turned: bool,
}

impl Decoded {
    pub(super) fn size(&self) -> Size {
        Size {
            height: self.grey.height() as usize,
            width: self.grey.width() as usize,
        }
    }
}

/// Why a picture cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    /// The decoder's reason.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A JPEG without its end, which the decoder would fill with grey.
    #[error("it is cut off: its end marker is missing")]
    Cut,
}

/// Decodes the first frame of a picture.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    if reader.format() == Some(ImageFormat::Jpeg) && is_cut(bytes) {
        return Err(DecodeError::Cut);
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE as u32);
    limits.max_image_height = Some(MAX_SIDE as u32);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    let had_16_bits = {
        let color = picture.color();
        u16::from(color.bytes_per_pixel()) > u16::from(color.channel_count())
    };
    let rgba = picture.into_rgba8();
    let pixels = rgba.as_raw().as_chunks::<4>().0;
    let backdrop = backdrop(pixels);
    let grey = pixels.iter().map(|&[red, green, blue, alpha]| {
        let share = f32::from(alpha) / 255.0;
        (luma([red, green, blue]) * share + backdrop * (1.0 - share)).round() as u8
    });
    Ok(Decoded {
        had_colour: pixels
            .iter()
            .any(|[red, green, blue, _]| red != green || green != blue),
        had_16_bits,
        was_transparent: pixels.iter().any(|pixel| pixel[3] < 255),
        was_turned: orientation != Orientation::NoTransforms,
        grey: GrayImage::from_raw(rgba.width(), rgba.height(), grey.collect())
            .expect("a grey pixel for each of the picture"),
    })
}

/// Whether the last scan of a JPEG has no end marker behind it. In its data both markers cannot
/// occur, and a thumbnail in the header is before it.
fn is_cut(jpeg: &[u8]) -> bool {
    const SCAN: [u8; 2] = [0xff, 0xda];
    const END: [u8; 2] = [0xff, 0xd9];
    let last = |marker| jpeg.windows(2).rposition(|bytes| bytes == marker);
    last(END) < last(SCAN)
}

fn luma([red, green, blue]: [u8; 3]) -> f32 {
    0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue)
}

/// What is behind transparency: white, or black when the visible ink is light. If little is
/// transparent, most visible pixels are paper, and it is the paper's colour.
fn backdrop(pixels: &[[u8; 4]]) -> f32 {
    let (mut visible, mut brightness, mut transparent) = (0.0, 0.0, 0_usize);
    for &[red, green, blue, alpha] in pixels {
        let share = f64::from(alpha) / 255.0;
        visible += share;
        brightness += share * f64::from(luma([red, green, blue]));
        transparent += usize::from(alpha < 128);
    }
    if visible <= 0.0 {
        return 255.0;
    }
    let is_light = brightness / visible > 127.5;
    let shows_ink = transparent * 4 >= pixels.len();
    if is_light == shows_ink { 0.0 } else { 255.0 }
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
        self.deep += usize::from(picture.had_16_bits);
        self.transparent += usize::from(picture.was_transparent);
        self.turned += usize::from(picture.was_turned);
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
