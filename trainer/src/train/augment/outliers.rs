//! Outlier exposure: images of no class, for which the network learns the uniform distribution (D.
//! Hendrycks, M. Mazeika, T. Dietterich, "Deep anomaly detection with outlier exposure", ICLR
//! 2019). They are noise, scribbles, letter-like strokes, two overlaid images of the data set, or
//! flat grey.
//!
//! They are drawn in main memory, because a batch has few of them.

use super::super::philox::{Philox, Purpose, StepPosition};
use super::settings::{REFERENCE_SIDE, Size};
use digits_dataset::Images;

/// Random numbers per image, not counting those of its pixels.
const DRAWS: usize = 64;
/// Straight pieces between two points of a curve.
const PIECES: usize = 4;

/// The source of outliers.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Outliers<'a> {
    /// Images of the data set.
    pub(in super::super) images: &'a Images,
    /// Numbers of the training images.
    pub(in super::super) train: &'a [u32],
}

/// A point (x, y) in pixels.
type Point = (f32, f32);

impl Outliers<'_> {
    /// Draws `count` outliers as raw pixels, one after another.
    pub(in super::super) fn draw(&self, count: usize, at: StepPosition) -> Vec<u8> {
        let size = Size {
            height: self.images.height,
            width: self.images.width,
        };
        let pixels = size.height * size.width;
        let mut counter = Philox::new(at, Purpose::Outliers);
        let mut out = vec![0; count * pixels];
        for image in out.chunks_exact_mut(pixels) {
            let mut numbers = [0.0; DRAWS];
            counter.uniform(&mut numbers);
            let mut hand = Hand {
                numbers: numbers.iter(),
                size,
            };
            match hand.below(5) {
                0 => noise(image, &mut hand, &mut counter),
                1 => ink(image, &hand.scribble(), &mut hand),
                2 => ink(image, &hand.letter(), &mut hand),
                3 => self.overlay(image, &mut hand),
                _ => image.fill((hand.between(-0.5, 0.5).max(0.0) * 255.0) as u8),
            }
        }
        out
    }

    /// Two images of the data set, shifted apart and overlaid.
    fn overlay(&self, out: &mut [u8], hand: &mut Hand<'_>) {
        let Size { height, width } = hand.size;
        for side in [-1.0, 1.0] {
            let number = self.train[hand.below(self.train.len())];
            let Some(image) = self.images.image(number as usize) else {
                continue;
            };
            let across = (hand.between(0.1, 0.3) * side * width as f32).round() as isize;
            let down = (hand.between(-0.1, 0.1) * height as f32).round() as isize;
            for (at, pixel) in out.iter_mut().enumerate() {
                let column = (at % width).checked_add_signed(-across);
                let row = (at / width).checked_add_signed(-down);
                if let (Some(column), Some(row)) = (column, row)
                    && column < width
                    && row < height
                {
                    *pixel = (*pixel).max(image[row * width + column]);
                }
            }
        }
    }
}

/// Draws one image with its random numbers.
struct Hand<'a> {
    numbers: std::slice::Iter<'a, f32>,
    size: Size,
}

impl Hand<'_> {
    fn between(&mut self, low: f32, high: f32) -> f32 {
        let number = self.numbers.next().copied().unwrap_or(0.5);
        low + number * (high - low)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.between(0.0, end as f32) as usize).min(end.saturating_sub(1))
    }

    fn point(&mut self) -> Point {
        let width = self.size.width as f32;
        let height = self.size.height as f32;
        (
            self.between(0.12, 0.88) * width,
            self.between(0.12, 0.88) * height,
        )
    }

    /// A curve through random points.
    fn scribble(&mut self) -> Vec<[Point; 2]> {
        let points: Vec<Point> = (0..4 + self.below(7)).map(|_| self.point()).collect();
        curve(&points)
    }

    /// Three to five straight or bent strokes, each starting on an earlier one.
    fn letter(&mut self) -> Vec<[Point; 2]> {
        let mut points = vec![self.point(), self.point()];
        let mut pieces = Vec::new();
        for number in 0..3 + self.below(3) {
            let from = points[self.below(points.len())];
            let to = if number == 0 { points[1] } else { self.point() };
            let bend = self.between(-1.0, 1.0).max(0.0) * 0.4;
            let middle = (
                (from.0 + to.0) / 2.0 - (to.1 - from.1) * bend,
                (from.1 + to.1) / 2.0 + (to.0 - from.0) * bend,
            );
            pieces.extend(curve(&[from, middle, to]));
            points.push(to);
        }
        pieces
    }
}

/// Straight pieces of the Catmull-Rom curve through the points.
fn curve(points: &[Point]) -> Vec<[Point; 2]> {
    let last = points.len() - 1;
    let mut pieces = Vec::with_capacity(last * PIECES);
    let mut from = points[0];
    for number in 0..last {
        let (b, c) = (points[number], points[number + 1]);
        let (a, d) = (
            points[number.saturating_sub(1)],
            points[(number + 2).min(last)],
        );
        for piece in 1..=PIECES {
            let t = piece as f32 / PIECES as f32;
            let blend = |a: f32, b: f32, c: f32, d: f32| {
                let square = 2.0 * a - 5.0 * b + 4.0 * c - d;
                let cube = 3.0 * (b - c) + d - a;
                b + 0.5 * t * (c - a + t * (square + t * cube))
            };
            let to = (blend(a.0, b.0, c.0, d.0), blend(a.1, b.1, c.1, d.1));
            pieces.push([from, to]);
            from = to;
        }
    }
    pieces
}

/// Draws the path with a pen of random width.
fn ink(out: &mut [u8], path: &[[Point; 2]], hand: &mut Hand<'_>) {
    let Size { height, width } = hand.size;
    let growth = ((height * width) as f32).sqrt() / REFERENCE_SIDE as f32;
    let radius = hand.between(0.6, 1.8) * growth;
    for (at, pixel) in out.iter_mut().enumerate() {
        let here = ((at % width) as f32, (at / width) as f32);
        let distance = path
            .iter()
            .map(|&piece| distance(here, piece))
            .fold(f32::MAX, f32::min);
        let cover = ((radius - distance) / growth + 0.5).clamp(0.0, 1.0);
        *pixel = (cover * 255.0) as u8;
    }
}

fn distance(here: Point, [from, to]: [Point; 2]) -> f32 {
    let along = (to.0 - from.0, to.1 - from.1);
    let start = (here.0 - from.0, here.1 - from.1);
    let square = along.0 * along.0 + along.1 * along.1;
    let share = if square > 0.0 {
        ((start.0 * along.0 + start.1 * along.1) / square).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (start.0 - share * along.0).hypot(start.1 - share * along.1)
}

/// Uniform grey levels in a random share of the pixels.
fn noise(out: &mut [u8], hand: &mut Hand<'_>, counter: &mut Philox) {
    let density = hand.between(0.05, 1.0);
    let mut words = vec![0; out.len()];
    counter.words(&mut words);
    let bound = (density * 65_535.0) as u32;
    for (pixel, word) in out.iter_mut().zip(words) {
        if word & 0xffff <= bound {
            *pixel = (word >> 24) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: StepPosition = StepPosition {
        seed: 1,
        epoch: 0,
        step: 0,
    };

    fn images(height: usize, width: usize) -> Images {
        let bar = |at: usize| u8::from((at % width) * 2 / width == 0) * 200;
        Images {
            count: 2,
            height,
            width,
            pixels: (0..2 * height * width).map(bar).collect(),
        }
    }

    #[test]
    fn outliers_can_be_drawn_at_any_size() {
        for (height, width) in [(28, 28), (1, 1), (3, 40), (64, 64)] {
            let images = images(height, width);
            let outliers = Outliers {
                images: &images,
                train: &[0, 1],
            };
            let drawn = outliers.draw(50, AT);
            assert_eq!(drawn.len(), 50 * height * width);
            assert_eq!(drawn, outliers.draw(50, AT));
            assert_ne!(drawn, outliers.draw(50, StepPosition { step: 1, ..AT }));
        }
    }

    #[test]
    fn outliers_include_blank_and_full_images_and_mostly_strokes() {
        let images = images(28, 28);
        let outliers = Outliers {
            images: &images,
            train: &[0, 1],
        };
        let drawn = outliers.draw(500, AT);
        let shares: Vec<f64> = drawn
            .chunks_exact(784)
            .map(|image| image.iter().filter(|&&it| it > 64).count() as f64 / 784.0)
            .collect();
        let count = |from: f64, to: f64| {
            let between = |share: &&f64| (from..to).contains(*share);
            shares.iter().filter(between).count()
        };
        assert!(count(0.0, 0.01) > 50, "blank");
        assert!(count(0.05, 0.45) > 150, "strokes");
        assert!(count(0.5, 1.1) > 50, "full");
    }
}
