//! A decoded picture: upright, eight bits a channel, without transparency.

use crate::plane::{Plane, reduced_size};
use image::{DynamicImage, RgbaImage};

/// A picture, upright, eight bits a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Columns of the picture as it was sent.
    pub width: usize,
    /// Rows of the picture as it was sent.
    pub height: usize,
    /// (columns, rows) of `rgb`: fewer than the picture's if it was decoded at a reduced scale.
    stored: (usize, usize),
    /// [rows, columns, 3].
    rgb: Vec<u8>,
    grey: bool,
    /// What the file had.
    pub origin: Origin,
}

/// What a decoded picture no longer shows of its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// 16 bits a channel.
    pub had_16_bits: bool,
    /// Pixels that were not opaque.
    pub was_transparent: bool,
    /// An EXIF orientation other than upright.
    pub was_turned: bool,
}

impl Picture {
    /// Composites transparency: on white, or on black when the visible ink is light.
    #[must_use]
    pub fn from_rgba(rgba: &RgbaImage) -> Self {
        let (width, height) = rgba.dimensions();
        let pixels = rgba.as_raw().as_chunks::<4>().0;
        let backdrop = u32::from(backdrop(pixels));
        let mut rgb = Vec::with_capacity(pixels.len() * 3);
        for &[red, green, blue, alpha] in pixels {
            let alpha = u32::from(alpha);
            let over = |channel: u8| {
                ((u32::from(channel) * alpha + backdrop * (255 - alpha) + 127) / 255) as u8
            };
            rgb.extend([over(red), over(green), over(blue)]);
        }
        let mut picture = Self::from_rgb((width as usize, height as usize), rgb);
        picture.origin.was_transparent = pixels.iter().any(|pixel| pixel[3] < 255);
        picture
    }

    /// An opaque picture of `size` (columns, rows), possibly decoded at a reduced scale.
    pub(crate) fn from_opaque(image: DynamicImage, size: (usize, usize)) -> Self {
        let rgb = image.into_rgb8();
        let (columns, rows) = rgb.dimensions();
        let stored = Self::from_rgb((columns as usize, rows as usize), rgb.into_raw());
        Self {
            width: size.0,
            height: size.1,
            ..stored
        }
    }

    fn from_rgb(size: (usize, usize), rgb: Vec<u8>) -> Self {
        let pixels = rgb.as_chunks::<3>().0;
        let grey = pixels.iter().all(|[r, g, b]| r == g && g == b);
        Self {
            width: size.0,
            height: size.1,
            stored: size,
            rgb,
            grey,
            origin: Origin::default(),
        }
    }

    /// Whether red, green and blue are alike everywhere.
    #[must_use]
    pub fn is_grey(&self) -> bool {
        self.grey
    }

    /// Luma (Rec. 601) as bytes, [rows, columns] of a picture that was decoded whole.
    #[must_use]
    pub fn grey_bytes(&self) -> Vec<u8> {
        let pixels = self.rgb.as_chunks::<3>().0.iter();
        pixels.map(|&pixel| luma(pixel).round() as u8).collect()
    }

    /// Luma (Rec. 601), from 0 to 1.
    #[must_use]
    pub fn luma(&self) -> Plane {
        let pixels = self.rgb.as_chunks::<3>().0.iter();
        Plane {
            width: self.stored.0,
            height: self.stored.1,
            values: pixels.map(|&pixel| luma(pixel) / 255.0).collect(),
        }
    }

    /// One plane of a grey picture, else red, green and blue; reduced to a longest side of `side`.
    #[must_use]
    pub fn planes(&self, side: usize) -> Vec<Plane> {
        let channels = if self.grey { 1 } else { 3 };
        let (columns, rows) = self.stored;
        let size = reduced_size(columns, rows, side);
        let plane = |channel: usize| {
            let bytes: Vec<u8> = self.rgb.iter().skip(channel).step_by(3).copied().collect();
            Plane::from_bytes(columns, rows, &bytes).resized(size.0, size.1)
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
