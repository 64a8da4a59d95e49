//! A decoded picture: upright, eight bits a channel, without transparency.

use crate::{
    plane::{Plane, reduced_size},
    reduce::Reducer,
};
use image::{DynamicImage, GrayImage, RgbImage, metadata::Orientation};

/// A picture, upright, eight bits a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Columns of the picture as it was sent.
    pub width: usize,
    /// Rows of the picture as it was sent.
    pub height: usize,
    /// What the file had.
    pub origin: Origin,
    /// (columns, rows) of `bytes`: fewer than the picture's if it was decoded at a reduced size.
    stored: (usize, usize),
    /// 1 if it is grey, else 3.
    channels: usize,
    /// [rows, columns, channels].
    bytes: Vec<u8>,
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
    /// A picture of `size` (columns, rows), of which `bytes` have `stored`.
    pub(crate) fn new(
        size: (usize, usize),
        stored: (usize, usize),
        channels: usize,
        bytes: Vec<u8>,
    ) -> Self {
        let mut picture = Self {
            width: size.0,
            height: size.1,
            origin: Origin::default(),
            stored,
            channels,
            bytes,
        };
        let pixels = picture.bytes.as_chunks::<3>().0;
        if channels == 3 && pixels.iter().all(|[r, g, b]| r == g && g == b) {
            picture.bytes = pixels.iter().map(|&[grey, ..]| grey).collect();
            picture.channels = 1;
        }
        picture
    }

    /// Turns it upright.
    pub(crate) fn turned(mut self, orientation: Orientation) -> Self {
        if orientation == Orientation::NoTransforms {
            return self;
        }
        let (columns, rows) = (self.stored.0 as u32, self.stored.1 as u32);
        let bytes = std::mem::take(&mut self.bytes);
        let image = match self.channels {
            1 => GrayImage::from_raw(columns, rows, bytes).map(DynamicImage::from),
            _ => RgbImage::from_raw(columns, rows, bytes).map(DynamicImage::from),
        };
        let mut image = image.expect("the bytes are those of the size");
        image.apply_orientation(orientation);
        self.stored = (image.width() as usize, image.height() as usize);
        self.bytes = image.into_bytes();
        self.origin.was_turned = true;
        if orientation.to_exif() >= 5 {
            (self.width, self.height) = (self.height, self.width);
        }
        self
    }

    /// Whether red, green and blue are alike everywhere.
    #[must_use]
    pub fn is_grey(&self) -> bool {
        self.channels == 1
    }

    /// Luma (Rec. 601), from 0 to 1.
    #[must_use]
    pub fn luma(&self) -> Plane {
        let values = match self.channels {
            1 => self
                .bytes
                .iter()
                .map(|&grey| f32::from(grey) / 255.0)
                .collect(),
            _ => {
                let pixels = self.bytes.as_chunks::<3>().0.iter();
                pixels.map(|&pixel| luma(pixel) / 255.0).collect()
            }
        };
        Plane {
            width: self.stored.0,
            height: self.stored.1,
            values,
        }
    }

    /// Luma (Rec. 601) as bytes, [rows, columns] of a picture that was decoded whole.
    #[must_use]
    pub fn grey_bytes(&self) -> Vec<u8> {
        match self.channels {
            1 => self.bytes.clone(),
            _ => {
                let pixels = self.bytes.as_chunks::<3>().0.iter();
                pixels.map(|&pixel| luma(pixel).round() as u8).collect()
            }
        }
    }

    /// One plane of a grey picture, else red, green and blue; reduced to a longest side of `side`.
    #[must_use]
    pub fn planes(&self, side: usize) -> Vec<Plane> {
        let (width, height) = reduced_size(self.stored.0, self.stored.1, side);
        let mut values = vec![Vec::with_capacity(width * height); self.channels];
        let mut put = |channel: usize, row: &mut dyn Iterator<Item = f32>| {
            values[channel].extend(row.map(|value| value / 255.0));
        };
        let rows = self.bytes.chunks_exact(self.stored.0 * self.channels);
        if (width, height) == self.stored {
            for row in rows {
                for channel in 0..self.channels {
                    let bytes = row.iter().skip(channel).step_by(self.channels);
                    put(channel, &mut bytes.map(|&value| f32::from(value)));
                }
            }
        } else {
            let mut reducer = Reducer::new(self.stored, (width, height), self.channels);
            for row in rows {
                reducer.push(row, |row| {
                    for channel in 0..self.channels {
                        put(
                            channel,
                            &mut row.iter().skip(channel).step_by(self.channels).copied(),
                        );
                    }
                });
            }
        }
        let plane = |values| Plane {
            width,
            height,
            values,
        };
        values.into_iter().map(plane).collect()
    }
}

fn luma([red, green, blue]: [u8; 3]) -> f32 {
    0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue)
}
