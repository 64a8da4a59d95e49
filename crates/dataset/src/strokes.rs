//! Paths of a pen: smooth curves through points as straight segments, and the distance of each
//! pixel to them.
//!
//! Only IEEE 754's exactly specified operations are used, so that the results are the same on every
//! platform.

use std::ops::Range;

/// Straight segments of a curve between two points.
const PIECES: usize = 5;
/// Squared distance of a pixel that is out of reach.
pub(crate) const FAR: f32 = 1e9;

/// x and y, y downwards.
pub(crate) type Vector = (f32, f32);

/// A straight piece of a path, in pixels; pixel (0, 0) has its centre at (0, 0).
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) from: Vector,
    pub(crate) to: Vector,
}

impl Segment {
    pub(crate) fn length(&self) -> f32 {
        let (x, y) = (self.to.0 - self.from.0, self.to.1 - self.from.1);
        (x * x + y * y).sqrt()
    }
}

/// Appends the Catmull-Rom curve through the points to `path`; a closed one has no corner where it
/// ends.
pub(crate) fn trace(points: &[Vector], closed: bool, path: &mut Vec<Segment>) {
    let last = points.len() - 1;
    for index in 0..last {
        let before = match index {
            0 if closed => points[last - 1],
            0 => points[0],
            _ => points[index - 1],
        };
        let after = match index + 2 {
            next if next <= last => points[next],
            _ if closed => points[1],
            _ => points[last],
        };
        let corners = [before, points[index], points[index + 1], after];
        let pieces = if last == 1 { 1 } else { PIECES };
        let mut from = points[index];
        for piece in 1..=pieces {
            let to = curve(corners, piece as f32 / pieces as f32);
            path.push(Segment { from, to });
            from = to;
        }
    }
}

/// The uniform Catmull-Rom curve between the two middle points, at `t` from 0 to 1.
fn curve([a, b, c, d]: [Vector; 4], t: f32) -> Vector {
    let blend = |a: f32, b: f32, c: f32, d: f32| {
        let linear = c - a;
        let square = 2.0 * a - 5.0 * b + 4.0 * c - d;
        let cube = 3.0 * b - a - 3.0 * c + d;
        b + 0.5 * t * (linear + t * (square + t * cube))
    };
    (blend(a.0, b.0, c.0, d.0), blend(a.1, b.1, c.1, d.1))
}

/// The corners with the lowest and the highest coordinates of a path.
pub(crate) fn bounds(path: &[Segment]) -> (Vector, Vector) {
    let (mut low, mut high) = ((FAR, FAR), (-FAR, -FAR));
    for (x, y) in path.iter().flat_map(|segment| [segment.from, segment.to]) {
        low = (low.0.min(x), low.1.min(y));
        high = (high.0.max(x), high.1.max(y));
    }
    (low, high)
}

/// The pixels whose distance to a path is computed.
#[derive(Clone, Copy)]
pub(crate) struct Raster {
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Distance from the path, in pixels, that is computed at least.
    pub(crate) reach: f32,
}

impl Raster {
    /// Lowers `distances`, one for each pixel, to the squared distance of its centre to the path,
    /// where it is within reach.
    pub(crate) fn squared_distances(self, path: &[Segment], distances: &mut [f32]) {
        for &Segment { from, to } in path {
            let along = (to.0 - from.0, to.1 - from.1);
            let length = along.0 * along.0 + along.1 * along.1;
            for row in self.pixels_near(from.1, to.1, self.height) {
                for column in self.pixels_near(from.0, to.0, self.width) {
                    let here = (column as f32 - from.0, row as f32 - from.1);
                    let share = if length > 0.0 {
                        ((here.0 * along.0 + here.1 * along.1) / length).clamp(0.0, 1.0)
                    } else {
                        0.0
                    };
                    let apart = (here.0 - share * along.0, here.1 - share * along.1);
                    let distance = apart.0 * apart.0 + apart.1 * apart.1;
                    let nearest = &mut distances[row * self.width + column];
                    *nearest = nearest.min(distance);
                }
            }
        }
    }

    fn pixels_near(self, a: f32, b: f32, side: usize) -> Range<usize> {
        // `as` cuts off the fraction and takes what is below 0 to 0.
        let first = (a.min(b) - self.reach).max(0.0) as usize;
        let end = (a.max(b) + self.reach + 1.0).max(0.0) as usize;
        first.min(side)..end.min(side)
    }
}
