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

    /// Whether a side of what was decoded is longer than `side`.
    #[must_use]
    pub fn is_longer_than(&self, side: usize) -> bool {
        self.stored.0.max(self.stored.1) > side
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
        let mut planes = vec![Plane::filled(width, height, 0.0); self.channels];
        let mut rows = 0..height;
        let mut put = |row: &[f32]| {
            let start = rows.next().unwrap_or(0) * width;
            for (channel, plane) in planes.iter_mut().enumerate() {
                let values = &mut plane.values[start..][..width];
                match self.channels {
                    1 => spread::<1>(row, channel, values),
                    _ => spread::<3>(row, channel, values),
                }
            }
        };
        let bytes = self.bytes.chunks_exact(self.stored.0 * self.channels);
        if (width, height) == self.stored {
            let mut row = vec![0.0; width * self.channels];
            for bytes in bytes {
                let values = row.iter_mut().zip(bytes);
                values.for_each(|(value, &byte)| *value = f32::from(byte));
                put(&row);
            }
        } else if (2 * width, 2 * height) == self.stored {
            let mut row = vec![0.0; width * self.channels];
            for rows in self.bytes.chunks_exact(2 * self.stored.0 * self.channels) {
                match self.channels {
                    1 => halve::<1>(rows, &mut row),
                    _ => halve::<3>(rows, &mut row),
                }
                put(&row);
            }
        } else {
            let mut reducer = Reducer::new(self.stored, (width, height), self.channels);
            bytes.for_each(|row| reducer.push(row, &mut put));
        }
        planes
    }
}

/// The means of squares of two pixels in two rows, as the [`Reducer`] has them.
fn halve<const CHANNELS: usize>(rows: &[u8], means: &mut [f32]) {
    let (upper, lower) = rows.split_at(rows.len() / 2);
    let upper = upper.chunks_exact(2 * CHANNELS);
    let lower = lower.chunks_exact(2 * CHANNELS);
    let means = means.as_chunks_mut::<CHANNELS>().0;
    for ((mean, above), below) in means.iter_mut().zip(upper).zip(lower) {
        for (channel, mean) in mean.iter_mut().enumerate() {
            let next = CHANNELS + channel;
            let square = [above[channel], above[next], below[channel], below[next]];
            let sum: u16 = square.into_iter().map(u16::from).sum();
            *mean = f32::from(sum) / 4.0;
        }
    }
}

/// One channel of a row, from 0 to 1.
fn spread<const CHANNELS: usize>(row: &[f32], channel: usize, values: &mut [f32]) {
    let pixels = row.as_chunks::<CHANNELS>().0;
    let pixels = values.iter_mut().zip(pixels);
    pixels.for_each(|(value, pixel)| *value = pixel[channel] / 255.0);
}

fn luma([red, green, blue]: [u8; 3]) -> f32 {
    0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_size_is_as_any_other_reduction() {
        for channels in [1, 3] {
            let stored = (40, 24);
            let length = stored.0 * stored.1 * channels;
            let bytes = (0..length).map(|at| (at * 7_919 % 253) as u8);
            let picture = Picture::new(stored, stored, channels, bytes.collect());
            let whole = picture.planes(usize::MAX);
            let halves = picture.planes(20);
            assert_eq!((whole.len(), halves.len()), (channels, channels));
            for (whole, half) in whole.iter().zip(&halves) {
                let expected = whole.resized(20, 12);
                assert_eq!((half.width, half.height), (20, 12));
                let differs = expected.values.iter().zip(&half.values);
                let differs = differs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(differs < 1e-5, "differs by {differs}");
            }
        }
    }
}
