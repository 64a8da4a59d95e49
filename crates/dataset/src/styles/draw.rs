//! Places a path in an image as MNIST does and turns each pixel's distance to it into grey.

use crate::random::Random;
use crate::strokes::{self, FAR, Raster, Segment, Vector};

/// Side of the images that lengths in pixels refer to.
const REFERENCE_SIDE: f32 = 28.0;
/// Longest side of a digit in an image of that side, ink included.
const BOX: f32 = 20.0;

/// Smallest radius of a pen in such an image.
const THINNEST: f32 = 0.35;
/// Largest radius of a pointed pen, whose hairlines would be lost beside thicker strokes.
const WIDEST_POINTED: f32 = 1.6;
/// Widths that a pointed pen has between its hairlines and its downstrokes.
const WIDTHS: usize = 4;

/// The pen of one digit, in pixels of an image of 28 × 28.
struct Pen {
    /// Of downstrokes.
    radius: f32,
    /// What the radius of strokes across and upwards lacks: 0 unless the pen is pointed.
    contrast: f32,
    /// Width of the edge between ink and paper.
    softness: f32,
    /// Ink of a full stroke, from 0 to 1.
    darkness: f32,
    /// Growth of the radius from the top to the bottom of the image, as a share of it.
    pressure: f32,
}

impl Pen {
    /// A pen for a path of `length` times its longest side. Thick pens are rare, and the longer the
    /// path, the thinner they are, so that the character stays legible. Half of the pens may be
    /// blurred, as in a small picture that was enlarged.
    fn new(length: f32, random: &mut Random) -> Self {
        let thick = random.unit();
        let softest = if random.once_in(2) { 5.0 } else { 2.0 };
        let thickest = 4.2 / length.max(1.0).sqrt();
        let radius = THINNEST + (thickest - THINNEST) * thick * thick;
        let softness = random.between(0.9, softest);
        let hairline = random.between(0.1, 0.5);
        if !random.once_in(6) {
            return Self::round(radius, softness, random);
        }
        let radius = radius.min(WIDEST_POINTED);
        Self {
            contrast: (radius - hairline).max(0.0),
            // A hairline between two rows of pixels stays visible.
            ..Self::round(radius, softness.max(1.2), random)
        }
    }

    /// A pen whose strokes are of even width.
    fn round(radius: f32, softness: f32, random: &mut Random) -> Self {
        Self {
            radius,
            contrast: 0.0,
            softness,
            darkness: random.between(0.7, 1.0),
            pressure: random.around_zero(0.3),
        }
    }
}

/// Draws a path of any scale as light ink on black: the longest side of the ink 20 of 28 pixels,
/// its centre of mass at index 14.
pub(super) fn draw(
    path: Vec<Segment>,
    (height, width): (usize, usize),
    random: &mut Random,
) -> Vec<u8> {
    let pixel = height.min(width) as f32 / REFERENCE_SIDE;
    let (low, high) = strokes::bounds(&path);
    let extent = (high.0 - low.0).max(high.1 - low.1);
    let length: f32 = path.iter().map(Segment::length).sum();
    let pen = Pen::new(length / extent, random);
    let mut parts = pen.parts(path);
    // A blurred edge counts for half.
    let longest = (BOX - 2.0 * pen.radius - pen.softness / 2.0) * pixel;
    let scale = longest / extent;
    let centre = pen.centre_of_mass(&parts);
    let middle = (width as f32 / 2.0, height as f32 / 2.0);
    let place = |(x, y): Vector| {
        (
            middle.0 + (x - centre.0) * scale,
            middle.1 + (y - centre.1) * scale,
        )
    };
    let raster = Raster {
        height,
        width,
        reach: (pen.radius * (1.0 + pen.pressure.abs()) + pen.softness / 2.0) * pixel,
    };
    let mut image = vec![0; height * width];
    for (thinner, part) in &mut parts {
        for Segment { from, to } in part.iter_mut() {
            (*from, *to) = (place(*from), place(*to));
        }
        let mut distances = vec![FAR; height * width];
        raster.squared_distances(part, &mut distances);
        for (index, (distance, ink)) in distances.into_iter().zip(&mut image).enumerate() {
            let down = (index / width) as f32 / height as f32 - 0.5;
            let radius = pen.radius * (1.0 + pen.pressure * down) - *thinner;
            let cover = pen.cover(radius - distance.sqrt() / pixel);
            *ink = (pen.darkness * cover * 255.0 + 0.5).max(f32::from(*ink)) as u8;
        }
    }
    image
}

/// Pieces of a path, and by how much their radius is below that of downstrokes.
type Part = (f32, Vec<Segment>);

impl Pen {
    /// Divides a path by the width in which the pen draws it.
    fn parts(&self, path: Vec<Segment>) -> Vec<Part> {
        if self.contrast == 0.0 {
            return vec![(0.0, path)];
        }
        let mut parts: Vec<Part> = (0..WIDTHS)
            .map(|width| self.contrast * width as f32 / (WIDTHS - 1) as f32)
            .map(|thinner| (thinner, Vec::new()))
            .collect();
        for segment in path {
            let down = (segment.to.1 - segment.from.1) / segment.length().max(f32::MIN_POSITIVE);
            let width = ((1.0 - down.max(0.0)) * (WIDTHS - 1) as f32 + 0.5) as usize;
            parts[width.min(WIDTHS - 1)].1.push(segment);
        }
        parts
    }

    /// The centre of mass of the ink, as that of lines of even width.
    fn centre_of_mass(&self, parts: &[Part]) -> Vector {
        let (mut mass, mut moment) = (0.0_f32, (0.0_f32, 0.0_f32));
        for (thinner, part) in parts {
            let across = self.ink_across(self.radius - thinner);
            for segment in part {
                let (from, to) = (segment.from, segment.to);
                let ink = across * segment.length();
                mass += ink;
                moment.0 += ink * (from.0 + to.0) / 2.0;
                moment.1 += ink * (from.1 + to.1) / 2.0;
            }
        }
        (moment.0 / mass, moment.1 / mass)
    }

    /// The ink of half a stroke of this radius: the integral of [`Self::cover`].
    fn ink_across(&self, radius: f32) -> f32 {
        let edge = self.softness / 2.0;
        if radius > edge {
            radius
        } else {
            let reach = (radius + edge).max(0.0);
            reach * reach / (2.0 * self.softness)
        }
    }

    /// The ink at this distance inside the stroke's edge, from 0 to 1.
    fn cover(&self, inside: f32) -> f32 {
        (inside / self.softness + 0.5).clamp(0.0, 1.0)
    }
}
