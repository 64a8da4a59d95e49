//! Drawn digits in many variants, and a network that recognizes them.

use super::{Net, PIXELS};
use digits_checkpoint::{Layer, manifest::InputSpec};
use digits_picture::{Normalized, Normalizer, Recipe};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, LumaA};
use std::io::Cursor;

/// Ink of a pixel of a drawn 0, 1 or 7, in a box that begins at `left`, `top`, is `unit` wide and
/// 1.6 times as high.
pub fn drawn(digit: usize, x: f32, y: f32, (left, top, unit): (f32, f32, f32)) -> f32 {
    let (x, y) = ((x - left) / unit, (y - top) / unit);
    let line = |(ax, ay): (f32, f32), (bx, by): (f32, f32)| {
        let (dx, dy) = (bx - ax, by - ay);
        let along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        (x - ax - along * dx).hypot(y - ay - along * dy)
    };
    let distance = match digit {
        0 => (((x - 0.5) / 0.5).hypot((y - 0.8) / 0.8) - 1.0).abs() * 0.55,
        1 => line((0.55, 0.0), (0.45, 1.6)),
        _ => line((0.1, 0.0), (1.0, 0.0)).min(line((1.0, 0.0), (0.35, 1.6))),
    };
    ((0.08 - distance) * unit + 0.5).clamp(0.0, 1.0)
}

/// The digits that are drawn.
pub const DRAWN: [usize; 3] = [0, 1, 7];

/// A network that correlates its input with the three drawn digits, in place and blurred. Label n
/// is the n-th of [`DRAWN`].
pub fn comparing() -> Net {
    let row = |digit: &usize| {
        let ink = |i: usize| {
            let (x, y) = ((i % 28) as f32 + 0.5, (i / 28) as f32 + 0.5);
            (drawn(*digit, x, y, (8.0, 4.8, 11.5)) * 255.0) as u8
        };
        let normalizer = Normalizer {
            height: 28,
            width: 28,
            recipe: Recipe::Mnist,
        };
        let Normalized::Input(placed) =
            normalizer.pixels(&(0..PIXELS).map(ink).collect::<Vec<_>>())
        else {
            panic!("{digit} is a digit");
        };
        let around = |i: usize| {
            let near = [i, i.wrapping_sub(1), i + 1, i.wrapping_sub(28), i + 28];
            near.iter()
                .filter_map(|&at| placed.get(at))
                .map(|&value| f32::from(value))
                .sum::<f32>()
        };
        let values: Vec<f32> = (0..PIXELS).map(around).collect();
        let mean = values.iter().sum::<f32>() / PIXELS as f32;
        let length = values
            .iter()
            .map(|v| (v - mean).powi(2))
            .sum::<f32>()
            .sqrt();
        values.into_iter().map(move |v| (v - mean) / length)
    };
    let weight = DRAWN.iter().flat_map(row).collect();
    Net {
        layers: vec![Layer {
            outputs: 3,
            inputs: PIXELS,
            weight,
            bias: vec![0.0; 3],
        }],
        input: InputSpec {
            height: 28,
            width: 28,
            scale: 255.0,
            mean: 0.0,
            std: 1.0,
        },
        ..Net::favouring(0, 0)
    }
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The same drawing as a caller may send it.
pub fn guises(digit: usize) -> Vec<(&'static str, Vec<u8>)> {
    let ink = |x: u32, y: u32, place| drawn(digit, x as f32 + 0.5, y as f32 + 0.5, place);
    let middle = (90.0, 60.0, 90.0);
    let grey = |side: u32, of: &dyn Fn(u32, u32) -> f32| {
        DynamicImage::ImageLuma8(GrayImage::from_fn(side, side, |x, y| {
            Luma([(of(x, y) * 255.0) as u8])
        }))
    };
    let alpha = |light: u8| {
        let pixel = |x, y| LumaA([light, (ink(x, y, middle) * 255.0) as u8]);
        DynamicImage::ImageLumaA8(image::ImageBuffer::from_fn(280, 280, pixel))
    };
    let shade = |x: u32, y: u32| 1.0 - 0.0014 * x as f32 - 0.0008 * y as f32;
    vec![
        (
            "dark on light",
            encoded(
                &grey(280, &|x, y| 1.0 - ink(x, y, middle)),
                ImageFormat::Png,
            ),
        ),
        (
            "light on dark",
            encoded(&grey(280, &|x, y| ink(x, y, middle)), ImageFormat::Png),
        ),
        (
            "JPEG",
            encoded(
                &grey(280, &|x, y| 1.0 - ink(x, y, middle)),
                ImageFormat::Jpeg,
            ),
        ),
        (
            "transparent, black pen",
            encoded(&alpha(0), ImageFormat::Png),
        ),
        (
            "transparent, white pen",
            encoded(&alpha(255), ImageFormat::Png),
        ),
        (
            "small in a corner",
            encoded(
                &grey(280, &|x, y| 1.0 - ink(x, y, (200.0, 175.0, 55.0))),
                ImageFormat::Png,
            ),
        ),
        (
            "shaded",
            encoded(
                &grey(280, &|x, y| shade(x, y) * (1.0 - 0.8 * ink(x, y, middle))),
                ImageFormat::Jpeg,
            ),
        ),
        (
            "of the input's size",
            encoded(
                &grey(28, &|x, y| ink(x, y, (9.0, 6.0, 10.0))),
                ImageFormat::Png,
            ),
        ),
    ]
}

/// A PNG of (columns, rows), dark ink on light, with the share of each pixel that is inked.
pub fn png_of(size: (u32, u32), ink: impl Fn(u32, u32) -> f32) -> Vec<u8> {
    let grey = GrayImage::from_fn(size.0, size.1, |x, y| {
        Luma([((1.0 - ink(x, y)) * 255.0) as u8])
    });
    encoded(&DynamicImage::ImageLuma8(grey), ImageFormat::Png)
}
