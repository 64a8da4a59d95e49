//! Noise of single pixels.

use super::Plane;
use crate::random::Random;

/// Photons of a white pixel, on the average.
const PHOTONS: f32 = 3.0;
/// Share of the pixels that are hit.
const IMPULSES: f32 = 0.17;

/// Every pixel becomes a Poisson count around its own value.
pub(super) fn shot(mut image: Plane, random: &mut Random) -> Plane {
    image.map(|value| random.poisson(value * PHOTONS) as f32 / PHOTONS);
    image
}

/// Salt and pepper, half and half.
pub(super) fn impulse(mut image: Plane, random: &mut Random) -> Plane {
    image.map(|value| {
        if random.unit() >= IMPULSES {
            value
        } else {
            random.below(2) as f32
        }
    });
    image
}
