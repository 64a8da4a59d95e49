//! What images cost on this machine by either way, in nanoseconds.
//!
//! Measured when a network is loaded: it depends on the machine and its caches as much as on the shape. Nothing here decides.

use super::{ExecutionPath, Network};
use std::{hint::black_box, time::Duration};

/// Images at a time whose batch way is timed.
const COUNTS: [usize; 4] = [1, 4, 16, 64];
/// Images whose single way is timed.
const SINGLES: usize = 16;
/// Runs of one way and count: the first warms up, the best of the others counts.
const RUNS: usize = 8;
/// Time after which no further run begins.
const ENOUGH: Duration = Duration::from_millis(5);
/// From so many images on the batch way is taken, and what a multiplication costs in it where one in the single way costs
/// 1: good guesses, until a network is measured.
const ASSUMED_BATCH_FROM: usize = 8;
const ASSUMED_BATCH_COST: f64 = 0.38;

/// What a network costs.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// One multiplication of the single way.
    unit: f64,
    /// An image by the single way, as the examined ones have ink.
    single: f64,
    /// [`COUNTS`] images by the batch way.
    batch: [f64; COUNTS.len()],
    /// With fewer images the batch way is never quicker, however much ink they have.
    batch_from: usize,
}

impl Costs {
    /// Guesses in units of a multiplication, for a network of so many.
    pub(super) fn assumed(multiplications: f64) -> Self {
        Self {
            unit: 1.0,
            single: multiplications,
            batch: COUNTS.map(|count| count as f64 * multiplications * ASSUMED_BATCH_COST),
            batch_from: ASSUMED_BATCH_FROM,
        }
    }

    /// Times both ways over these images, [n, inputs]; calls `between` between two runs. Takes about 25 ms at most for networks of a
    /// few million weights.
    ///
    /// # Panics
    ///
    /// When there is no image.
    pub(super) fn measure(network: &Network, images: &[u8], mut between: impl FnMut()) -> Self {
        let inputs = network.inputs();
        assert!(images.len() >= inputs, "at least one image");
        let largest = COUNTS[COUNTS.len() - 1];
        let images: Vec<u8> = images
            .iter()
            .copied()
            .cycle()
            .take(largest * inputs)
            .collect();
        let mut logits = vec![0.0; largest * network.classes()];
        let mut time = |way, count: usize| {
            let (images, logits) = (
                &images[..count * inputs],
                &mut logits[..count * network.classes()],
            );
            best(
                || network.logits_on(way, black_box(images), black_box(logits)),
                &mut between,
            )
        };
        let single = time(ExecutionPath::Sparse, SINGLES);
        let batch = COUNTS.map(|count| time(ExecutionPath::Dense, count));
        let singles = images[..SINGLES * inputs].chunks_exact(inputs);
        let work: f64 = singles.map(|image| network.single_work(image)).sum();
        let mut costs = Self {
            unit: single / work,
            single: single / SINGLES as f64,
            batch,
            batch_from: 0,
        };
        let most = costs.unit * network.single_work(&vec![u8::MAX; inputs]);
        costs.batch_from = (1..=largest)
            .find(|&count| costs.batch(count) < most * count as f64)
            .unwrap_or(usize::MAX);
        costs
    }

    /// So many images by the batch way: between what was timed in a straight line, beyond it in proportion.
    pub(super) fn batch(&self, count: usize) -> f64 {
        let last = COUNTS.len() - 1;
        let Some(above) = COUNTS.iter().position(|&timed| timed >= count) else {
            return self.batch[last] / COUNTS[last] as f64 * count as f64;
        };
        if above == 0 {
            return self.batch[0];
        }
        let (from, to) = (COUNTS[above - 1], COUNTS[above]);
        let share = (count - from) as f64 / (to - from) as f64;
        self.batch[above - 1] + (self.batch[above] - self.batch[above - 1]) * share
    }

    /// Images by the single way that need so many multiplications.
    pub(super) fn single(&self, multiplications: f64) -> f64 {
        self.unit * multiplications
    }

    /// See the field.
    pub(super) fn batch_from(&self) -> usize {
        self.batch_from
    }

    /// An image that comes alone, by the quicker way.
    #[must_use]
    pub fn alone(&self) -> f64 {
        self.single.min(self.batch[0])
    }

    /// An image among many, by the quicker way.
    #[must_use]
    pub fn among_many(&self) -> f64 {
        let last = COUNTS.len() - 1;
        self.single.min(self.batch[last] / COUNTS[last] as f64)
    }

    /// So many images of one request, by the quicker way.
    #[must_use]
    pub fn of(&self, count: usize) -> f64 {
        (self.single * count as f64).min(self.batch(count))
    }
}

fn best(mut run: impl FnMut(), mut between: impl FnMut()) -> f64 {
    run();
    let begun = processor_time();
    let mut best = f64::INFINITY;
    for _ in 1..RUNS {
        between();
        let start = processor_time();
        run();
        let now = processor_time();
        best = best.min((now - start).as_nanos() as f64);
        if now - begun > ENOUGH {
            break;
        }
    }
    // A clock may be too coarse for the smallest networks.
    best.max(1.0)
}

/// What this thread has had of a processor: others may have their turns in between.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_and_beyond_what_was_timed() {
        let costs = Costs {
            unit: 2.0,
            single: 10.0,
            batch: [30.0, 60.0, 120.0, 320.0],
            batch_from: 4,
        };
        let cases = [
            (1, 30.0),
            (2, 40.0),
            (4, 60.0),
            (10, 90.0),
            (16, 120.0),
            (64, 320.0),
            (128, 640.0),
        ];
        for (count, expected) in cases {
            assert!((costs.batch(count) - expected).abs() < 1e-9, "{count}");
        }
        assert_eq!((costs.alone(), costs.among_many()), (10.0, 5.0));
        assert_eq!((costs.of(2), costs.of(128)), (20.0, 640.0));
    }
}
