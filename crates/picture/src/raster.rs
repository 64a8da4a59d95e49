//! A decoded picture: upright, eight bits a channel, without transparency.

use crate::{
    plane::{Plane, reduced_size},
    reduce::{self, Reducer},
};
use image::{DynamicImage, GrayImage, RgbImage, metadata::Orientation};
use std::ops::Range;

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

    /// Planes of some of its channels, reduced to a longest side of `side`.
    #[must_use]
    pub fn planes(&self, channels: Range<usize>, side: usize) -> Vec<Plane> {
        let plane = |channel| match self.channels {
            1 => self.plane::<1>(channel, side),
            _ => self.plane::<3>(channel, side),
        };
        channels.map(plane).collect()
    }

    fn plane<const CHANNELS: usize>(&self, channel: usize, side: usize) -> Plane {
        let (width, height) = reduced_size(self.stored.0, self.stored.1, side);
        let pixels = self.bytes.as_chunks::<CHANNELS>().0;
        let mut values = Vec::with_capacity(width * height);
        if (width, height) == self.stored {
            let pixels = pixels.iter();
            values.extend(pixels.map(|pixel| f32::from(pixel[channel]) / 255.0));
        } else if (2 * width, 2 * height) == self.stored {
            for rows in pixels.chunks_exact(2 * self.stored.0) {
                let (upper, lower) = rows.split_at(self.stored.0);
                let pairs = upper
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .zip(lower.as_chunks::<2>().0);
                values.extend(pairs.map(|([a, b], [c, d])| {
                    let square = [a, b, c, d].map(|pixel| u16::from(pixel[channel]));
                    f32::from(square.into_iter().sum::<u16>()) / 4.0 / 255.0
                }));
            }
        } else {
            let mut reducer = Reducer::new(self.stored, (width, height), 1);
            let mut bytes = vec![0; self.stored.0];
            for row in pixels.chunks_exact(self.stored.0) {
                let pixels = bytes.iter_mut().zip(row);
                pixels.for_each(|(byte, pixel)| *byte = pixel[channel]);
                reducer.push(&bytes, |row| {
                    values.extend(row.iter().map(|value| value / 255.0))
                });
            }
        }
        Plane {
            width,
            height,
            values,
        }
    }

    /// Red, green and blue at a longest side of `side` at most: means of squares of pixels, of which
    /// every other one in both directions is looked at. None of a grey picture.
    #[must_use]
    pub(crate) fn overview(&self, side: usize) -> Option<[Plane; 3]> {
        if self.is_grey() {
            return None;
        }
        let square = self.stored.0.max(self.stored.1).div_ceil(side).max(1);
        let size = [self.stored.0, self.stored.1].map(|length| length.div_ceil(square));
        let mut planes = [(); 3].map(|()| Plane::filled(size[0], size[1], 0.0));
        for (y, rows) in self.bytes.chunks(square * self.stored.0 * 3).enumerate() {
            let mut sums = vec![0; self.stored.0 * 3];
            let rows = rows.chunks_exact(self.stored.0 * 3).step_by(2);
            let height = rows.len();
            rows.for_each(|row| reduce::add(&mut sums, row));
            for (x, sums) in sums.as_chunks::<3>().0.chunks(square).enumerate() {
                let sums = sums.iter().step_by(2);
                let scale = 1.0 / (height * sums.len() * 255) as f32;
                let sums = sums.fold([0_u32; 3], |[red, green, blue], sums| {
                    let [more_red, more_green, more_blue] = sums.map(u32::from);
                    [red + more_red, green + more_green, blue + more_blue]
                });
                for (plane, sum) in planes.iter_mut().zip(sums) {
                    plane.values[y * size[0] + x] = sum as f32 * scale;
                }
            }
        }
        Some(planes)
    }
}

fn luma([red, green, blue]: [u8; 3]) -> f32 {
    0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overview_has_means_of_squares() {
        let stored = (7, 5);
        let bytes = (0..7 * 5 * 3).map(|at| (at * 7_919 % 253) as u8);
        let picture = Picture::new(stored, stored, 3, bytes.collect());
        let overview = picture.overview(3).expect("it is in colour");
        for (plane, whole) in overview.iter().zip(picture.planes(0..3, usize::MAX)) {
            assert_eq!((plane.width, plane.height), (3, 2));
            for (at, value) in plane.values.iter().enumerate() {
                let (x, y) = (3 * (at % 3), 3 * (at / 3));
                let places = [(0, 0), (2, 0), (0, 2), (2, 2)].map(|(a, b)| (x + a, y + b));
                let inside = places.iter().filter(|(x, y)| *x < 7 && *y < 5);
                let square: Vec<f32> = inside.map(|&(x, y)| whole.at(x, y)).collect();
                let mean = square.iter().sum::<f32>() / square.len() as f32;
                assert!((value - mean).abs() < 1e-5, "{value} at {at}, not {mean}");
            }
        }
    }

    #[test]
    fn half_the_size_is_as_any_other_reduction() {
        for channels in [1, 3] {
            let stored = (40, 24);
            let length = stored.0 * stored.1 * channels;
            let bytes = (0..length).map(|at| (at * 7_919 % 253) as u8);
            let picture = Picture::new(stored, stored, channels, bytes.collect());
            let whole = picture.planes(0..channels, usize::MAX);
            let halves = picture.planes(0..channels, 20);
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
