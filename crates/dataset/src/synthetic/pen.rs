//! Draws one digit: distorts a glyph, places it in the image, and turns each pixel's distance to
//! the path into grey.

use super::glyphs::{Point, STYLES};
use crate::random::Random;
use crate::strokes::{self, FAR, Raster, Segment, Vector};

/// Height and width of the images, in pixels.
pub const SIDE: usize = 28;
/// Width of a glyph's box relative to its height.
const NARROWNESS: f32 = 0.74;
const PIXELS: usize = SIDE * SIDE;
/// Distance from the path, in pixels, beyond which there is no ink.
const REACH: f32 = 3.25;
const RASTER: Raster = Raster {
    height: SIDE,
    width: SIDE,
    reach: REACH,
};

pub(super) fn draw(digit: usize, random: &mut Random) -> [u8; PIXELS] {
    let styles = &STYLES[digit];
    let glyph = &styles[random.below(styles.len())];
    let hand = Hand::new(random);
    let mut path = Vec::with_capacity(64);
    for stroke in glyph {
        trace(stroke, &hand, &mut path);
    }
    place_in_image(&mut path, random);
    let mut distances = [FAR; PIXELS];
    RASTER.squared_distances(&path, &mut distances);
    ink(&distances, random)
}

/// The random distortion of this image's glyph.
struct Hand {
    /// PRNG key of the jitter of each point.
    jitter_key: (u64, u64),
    slant: f32,
    width: f32,
    bow_x: f32,
    bow_y: f32,
    cosine: f32,
    sine: f32,
}

impl Hand {
    fn new(random: &mut Random) -> Self {
        // Half the angle's tangent gives cosine and sine without trigonometry: ±0.13 is ±15°.
        let half_tangent = random.around_zero(0.13);
        let square = half_tangent * half_tangent;
        Self {
            jitter_key: (random.next(), random.next()),
            slant: random.between(-0.12, 0.34),
            width: random.between(0.8, 1.2),
            bow_x: random.around_zero(0.25),
            bow_y: random.around_zero(0.25),
            cosine: (1.0 - square) / (1.0 + square),
            sine: 2.0 * half_tangent / (1.0 + square),
        }
    }

    /// The distorted point around (0, 0), in units of the glyph's height. Equal points of different
    /// strokes stay equal, so that strokes that meet still meet.
    fn bend(&self, (x, y): Point) -> Vector {
        let (key_0, key_1) = self.jitter_key;
        let mut own = Random::of(key_0, key_1, u64::from(x) << 8 | u64::from(y));
        let x = (f32::from(x) - 50.0) / 100.0 + own.around_zero(0.06);
        let y = (f32::from(y) - 50.0) / 100.0 + own.around_zero(0.06);
        let bowed_x = (x + self.bow_x * y * y) * NARROWNESS * self.width - self.slant * y;
        let bowed_y = y + self.bow_y * x * x;
        (
            bowed_x * self.cosine - bowed_y * self.sine,
            bowed_x * self.sine + bowed_y * self.cosine,
        )
    }
}

/// The stroke as straight pieces of the Catmull-Rom curve through its points.
fn trace(stroke: &[Point], hand: &Hand, path: &mut Vec<Segment>) {
    let points: Vec<Vector> = stroke.iter().map(|&point| hand.bend(point)).collect();
    let closed = stroke.first() == stroke.last() && stroke.len() > 2;
    strokes::trace(&points, closed, path);
}

/// Scales the path so that the digit, ink included, takes about 19 of the 28 pixels, as in MNIST,
/// and puts it near the middle.
fn place_in_image(path: &mut [Segment], random: &mut Random) {
    let (low, high) = strokes::bounds(path);
    let extent = (high.0 - low.0).max(high.1 - low.1);
    let scale = random.between(14.5, 18.0) / extent;
    let middle = (SIDE as f32 - 1.0) / 2.0;
    let centre_x = middle + random.around_zero(2.0);
    let centre_y = middle + random.around_zero(2.0);
    let place = |(x, y): Vector| {
        (
            centre_x + (x - (low.0 + high.0) / 2.0) * scale,
            centre_y + (y - (low.1 + high.1) / 2.0) * scale,
        )
    };
    for segment in path {
        *segment = Segment {
            from: place(segment.from),
            to: place(segment.to),
        };
    }
}

/// Turns distances into grey: full ink within the pen's radius, a soft edge, and the noise of paper
/// and scanner.
fn ink(distances: &[f32; PIXELS], random: &mut Random) -> [u8; PIXELS] {
    let radius = random.between(0.75, 1.95);
    let softness = random.between(0.9, 1.6);
    let darkness = random.between(0.78, 1.0);
    let pressure = random.around_zero(0.3);
    let roughness = if random.once_in(2) {
        random.between(0.0, 0.35)
    } else {
        0.0
    };
    let grain = if random.once_in(8) {
        random.between(0.0, 0.12)
    } else {
        0.0
    };
    let mut pixels = [0; PIXELS];
    for (index, (pixel, &distance)) in pixels.iter_mut().zip(distances).enumerate() {
        let mut grey = 0.0;
        if distance < REACH * REACH {
            let height = (index / SIDE) as f32 / SIDE as f32 - 0.5;
            let here = radius * (1.0 + pressure * height);
            let cover = ((here - distance.sqrt()) / softness + 0.5).clamp(0.0, 1.0);
            grey = darkness * cover;
            if roughness > 0.0 {
                grey *= 1.0 - random.between(0.0, roughness);
            }
        }
        if grain > 0.0 {
            grey += random.between(0.0, grain);
        }
        *pixel = (grey.min(1.0) * 255.0 + 0.5) as u8;
    }
    pixels
}
