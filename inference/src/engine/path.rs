//! The two execution paths of a network, and which of them is taken.
//!
//! The choice depends on the shape of the network, the number of images and their ink alone, so the
//! same request gives the same logits on every machine.

use std::fmt;

/// Fewest images for the dense path: with fewer, its tiles are too small to be quicker.
const MIN_DENSE_IMAGES: usize = 4;
/// The same for networks of more than [`MAX_CACHED`] multiply-adds: the sparse path reads their
/// weights from memory for each image.
const MIN_DENSE_IMAGES_UNCACHED: usize = 2;
const MAX_CACHED: usize = 6_000_000;
/// Cost of a multiply-add on the dense path, where one on the sparse path costs 1.
const DENSE_COST: f64 = 0.38;
/// Cost of looking for ink on the sparse path, for each pixel, beyond that of its scaling on the
/// dense path. It counts for the smallest networks alone.
const SCAN_COST: f64 = 3.3;
/// Share of the units beyond the first layer that are not 0, roughly: between ReLU and the others.
const ACTIVE_SHARE: f64 = 0.75;

/// An execution path of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionPath {
    /// Image by image, multiplying only by values that are not 0.
    Sparse,
    /// All images at once, by matrix products.
    Dense,
}

impl ExecutionPath {
    /// All paths: a checkpoint must pass its exam on each.
    pub const ALL: [Self; 2] = [Self::Sparse, Self::Dense];
}

impl fmt::Display for ExecutionPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sparse => "sparse",
            Self::Dense => "dense",
        })
    }
}

/// Multiply-adds of one image on the dense path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Pixels of an image.
    pub(super) pixels: usize,
    /// Multiply-adds of a row of the first layer, which is used for each pixel with ink.
    pub(super) per_pixel: usize,
    /// Multiply-adds of the other layers.
    pub(super) beyond: usize,
}

impl Work {
    pub(super) fn dense(self) -> usize {
        self.pixels * self.per_pixel + self.beyond
    }

    /// The path for `count` images, of which the first has `inked` pixels with ink.
    pub(super) fn path(self, count: usize, inked: impl FnOnce() -> usize) -> ExecutionPath {
        let min = if self.dense() > MAX_CACHED {
            MIN_DENSE_IMAGES_UNCACHED
        } else {
            MIN_DENSE_IMAGES
        };
        if count < min {
            return ExecutionPath::Sparse;
        }
        let sparse = self.pixels as f64 * SCAN_COST
            + ((inked() + 1) * self.per_pixel) as f64
            + self.beyond as f64 * ACTIVE_SHARE;
        if self.dense() as f64 * DENSE_COST < sparse {
            ExecutionPath::Dense
        } else {
            ExecutionPath::Sparse
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_images_with_much_ink_take_the_dense_path() {
        let work = |per_pixel, beyond| Work {
            pixels: 784,
            per_pixel,
            beyond,
        };
        let tiny = work(16, 16 * 16);
        let small = work(128, 128 * 16);
        let large = work(2_512, 10_000_000);
        for (work, count, inked, expected) in [
            (tiny, 3, 150, ExecutionPath::Sparse),
            (tiny, 4, 150, ExecutionPath::Dense),
            (small, 1, 784, ExecutionPath::Sparse),
            (small, 3, 784, ExecutionPath::Sparse),
            (small, 4, 784, ExecutionPath::Dense),
            (small, 4, 400, ExecutionPath::Dense),
            (small, 4, 150, ExecutionPath::Sparse),
            (small, 256, 150, ExecutionPath::Sparse),
            (large, 1, 784, ExecutionPath::Sparse),
            (large, 2, 150, ExecutionPath::Dense),
        ] {
            let path = work.path(count, || inked);
            assert_eq!(path, expected, "{work:?}, {count} images, {inked} pixels");
        }
    }
}
