//! Builds a picture of rows as they are decoded: composites transparency and reduces it.

use crate::{
    plane::reduced_size,
    raster::{Origin, Picture},
    reduce::Reducer,
};
use image::RgbaImage;

/// Takes the rows of a picture, from top to bottom.
pub(crate) struct PictureBuilder {
    size: (usize, usize),
    stored: (usize, usize),
    channels: usize,
    /// Without it the picture is stored as it is.
    reducer: Option<Reducer>,
    backdrop: Backdrop,
    /// [rows, columns, channels], colours multiplied by alpha.
    bytes: Vec<u8>,
    multiplied: Vec<u8>,
    /// What the file had.
    pub(crate) origin: Origin,
}

impl PictureBuilder {
    /// A picture of `size` (columns, rows) with grey, grey and alpha, RGB or RGBA, by the number of
    /// channels; reduced to a longest side of `side`.
    pub(crate) fn new(size: (usize, usize), channels: usize, side: usize) -> Self {
        let stored = reduced_size(size.0, size.1, side);
        Self {
            size,
            stored,
            channels,
            reducer: (stored != size).then(|| Reducer::new(size, stored, channels)),
            backdrop: Backdrop::default(),
            bytes: Vec::with_capacity(stored.0 * stored.1 * channels),
            multiplied: Vec::new(),
            origin: Origin::default(),
        }
    }

    /// As one whose header says `size`, where the rows are of a picture that was reduced before.
    pub(crate) fn of_size(self, size: (usize, usize)) -> Self {
        Self { size, ..self }
    }

    /// Takes the next row.
    pub(crate) fn push(&mut self, row: &[u8]) {
        let row = match self.channels {
            2 => {
                let pixels = row.as_chunks::<2>().0;
                if self
                    .backdrop
                    .count_opaque(pixels, |&[grey, alpha]| [grey, grey, grey, alpha])
                {
                    row
                } else {
                    self.multiplied.clear();
                    for &[grey, alpha] in pixels {
                        self.backdrop.count([grey, grey, grey, alpha]);
                        self.multiplied.extend([times(grey, alpha), alpha]);
                    }
                    &self.multiplied
                }
            }
            4 => {
                let pixels = row.as_chunks::<4>().0;
                if self.backdrop.count_opaque(pixels, |&pixel| pixel) {
                    row
                } else {
                    self.multiplied.clear();
                    for &[red, green, blue, alpha] in pixels {
                        self.backdrop.count([red, green, blue, alpha]);
                        let [red, green, blue] = [red, green, blue].map(|it| times(it, alpha));
                        self.multiplied.extend([red, green, blue, alpha]);
                    }
                    &self.multiplied
                }
            }
            _ => row,
        };
        let bytes = &mut self.bytes;
        match &mut self.reducer {
            Some(reducer) => reducer.push(row, |row| {
                bytes.extend(row.iter().map(|value| (value + 0.5) as u8));
            }),
            None => bytes.extend_from_slice(row),
        }
    }

    /// The picture, after the last row.
    pub(crate) fn finish(mut self) -> Picture {
        let backdrop = self.backdrop.colour();
        self.origin.was_transparent = self.backdrop.seen_through > 0;
        let is_opaque = !self.origin.was_transparent;
        let over = |colour: u8, alpha: u8| {
            if is_opaque {
                colour
            } else {
                colour.saturating_add(times(backdrop, 255 - alpha))
            }
        };
        let (channels, bytes) = match self.channels {
            2 => {
                let pixels = self.bytes.as_chunks::<2>().0.iter();
                (1, pixels.map(|&[grey, alpha]| over(grey, alpha)).collect())
            }
            4 => {
                let pixels = self.bytes.as_chunks::<4>().0.iter();
                let pixels = pixels.flat_map(|&[red, green, blue, alpha]| {
                    [red, green, blue].map(|colour| over(colour, alpha))
                });
                (3, pixels.collect())
            }
            channels => (channels, self.bytes),
        };
        let mut picture = Picture::new(self.size, self.stored, channels, bytes);
        picture.origin = self.origin;
        picture
    }
}

impl Picture {
    /// Composites transparency: on white, or on black when the visible ink is light.
    #[must_use]
    pub fn from_rgba(rgba: &RgbaImage) -> Self {
        let size = (rgba.width() as usize, rgba.height() as usize);
        let mut builder = PictureBuilder::new(size, 4, usize::MAX);
        let rows = rgba.as_raw().chunks_exact(4 * size.0.max(1));
        rows.for_each(|row| builder.push(row));
        builder.finish()
    }
}

/// A colour under a share, both of 255.
fn times(colour: u8, share: u8) -> u8 {
    ((u32::from(colour) * u32::from(share) + 127) / 255) as u8
}

/// What decides about the colour behind transparency.
#[derive(Default)]
struct Backdrop {
    pixels: u64,
    /// Pixels that are mostly transparent, and those that are not opaque.
    transparent: u64,
    seen_through: u64,
    /// Sums of alpha, and of alpha times luma in thousandths.
    visible: u64,
    brightness: u64,
}

impl Backdrop {
    /// Counts the pixels of a row if all of them are opaque.
    fn count_opaque<P>(&mut self, pixels: &[P], rgba: impl Fn(&P) -> [u8; 4]) -> bool {
        if pixels
            .iter()
            .fold(255, |least, pixel| rgba(pixel)[3].min(least))
            < 255
        {
            return false;
        }
        let mut sums = [0_u32; 3];
        for pixel in pixels {
            let [red, green, blue, _] = rgba(pixel).map(u32::from);
            sums = [sums[0] + red, sums[1] + green, sums[2] + blue];
        }
        let [red, green, blue] = sums.map(u64::from);
        self.pixels += pixels.len() as u64;
        self.visible += 255 * pixels.len() as u64;
        self.brightness += 255 * (299 * red + 587 * green + 114 * blue);
        true
    }

    fn count(&mut self, [red, green, blue, alpha]: [u8; 4]) {
        let luma = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
        self.pixels += 1;
        self.transparent += u64::from(alpha < 128);
        self.seen_through += u64::from(alpha < 255);
        self.visible += u64::from(alpha);
        self.brightness += u64::from(luma * u32::from(alpha));
    }

    /// White, or black when the visible ink is light. If little is transparent, most visible pixels
    /// are paper, and the colour is that of the paper.
    fn colour(&self) -> u8 {
        if self.visible == 0 {
            return 255;
        }
        let is_light = self.brightness as f64 / self.visible as f64 > 127_500.0;
        let shows_ink = self.transparent * 4 >= self.pixels;
        if is_light == shows_ink { 0 } else { 255 }
    }
}
