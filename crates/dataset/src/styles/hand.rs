//! The hand of a writer: bends the strokes of a character at random.

use super::table::Glyph;
use crate::random::Random;
use crate::strokes::{self, Segment, Vector};

/// Width of a glyph's box relative to its height.
const NARROWNESS: f32 = 0.76;

/// The random distortion of one character.
struct Hand {
    /// PRNG key of the jitter of each point.
    jitter_key: (u64, u64),
    jitter: f32,
    slant: f32,
    width: f32,
    /// The top is wider than the bottom, or narrower.
    taper: f32,
    bow_x: f32,
    bow_y: f32,
    cosine: f32,
    sine: f32,
}

/// The path of a pen that writes a character, around (0, 0), about 1 high.
pub(super) fn write(glyph: &Glyph, random: &mut Random) -> Vec<Segment> {
    let hand = Hand::new(random);
    let blend = random.unit();
    let mut path = Vec::with_capacity(96);
    let [one, other] = &glyph.0;
    for (one, other) in one.iter().zip(other) {
        let mut points: Vec<Vector> = one
            .iter()
            .zip(other)
            .map(|(one, other)| hand.bend(one, other, blend))
            .collect();
        let closed = one.first() == one.last() && one.len() > 2;
        if !closed {
            let last = points.len() - 1;
            points[0] = extended(points[1], points[0], random);
            points[last] = extended(points[last - 1], points[last], random);
        }
        strokes::trace(&points, closed, &mut path);
    }
    path
}

/// The end of a stroke, moved a little along it: one stroke in three is too long or too short.
fn extended(before: Vector, end: Vector, random: &mut Random) -> Vector {
    let by = random.around_zero(0.12);
    if !random.once_in(3) {
        return end;
    }
    let (x, y) = (end.0 - before.0, end.1 - before.1);
    let length = (x * x + y * y).sqrt().max(0.1);
    (end.0 + x / length * by, end.1 + y / length * by)
}

impl Hand {
    fn new(random: &mut Random) -> Self {
        // Half the angle's tangent gives cosine and sine without trigonometry.
        let half_tangent = random.around_zero(0.1);
        let square = half_tangent * half_tangent;
        Self {
            jitter_key: (random.next(), random.next()),
            jitter: random.between(0.02, 0.08),
            slant: random.around_zero(0.4) + 0.15,
            width: random.between(0.6, 1.3),
            taper: random.around_zero(0.3),
            bow_x: random.around_zero(0.25),
            bow_y: random.around_zero(0.25),
            cosine: (1.0 - square) / (1.0 + square),
            sine: 2.0 * half_tangent / (1.0 + square),
        }
    }

    /// The distorted point around (0, 0), in units of the glyph's height, `blend` of the way from
    /// `one` to `other`. Equal points of different strokes stay equal, so that strokes that meet
    /// still meet.
    fn bend(&self, one: &Vector, other: &Vector, blend: f32) -> Vector {
        let (key_0, key_1) = self.jitter_key;
        let number = (one.0 as u64) << 8 | one.1 as u64;
        let mut own = Random::of(key_0, key_1, number);
        let along = |from: f32, to: f32| (from + (to - from) * blend - 50.0) / 100.0;
        let x = along(one.0, other.0) + own.around_zero(self.jitter);
        let y = along(one.1, other.1) + own.around_zero(self.jitter);
        let tapered = x * (1.0 - self.taper * y);
        let bowed_x = (tapered + self.bow_x * y * y) * NARROWNESS * self.width - self.slant * y;
        let bowed_y = y + self.bow_y * x * x;
        (
            bowed_x * self.cosine - bowed_y * self.sine,
            bowed_x * self.sine + bowed_y * self.cosine,
        )
    }
}
