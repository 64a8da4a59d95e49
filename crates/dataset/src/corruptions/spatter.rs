//! Drops of mud: where smoothed noise is above a threshold.

use super::Plane;
use crate::random::Random;

/// Mean and standard deviation of the noise.
const NOISE: (f32, f32) = (0.65, 0.3);
/// Standard deviation of the blur that makes drops of the noise, in pixels.
const DROPS_SIGMA: f32 = 1.0;
/// Blurred noise above this is a drop.
const THRESHOLD: f32 = 0.65;
/// Standard deviation of the blur of the drops' edges, in pixels.
const EDGE_SIGMA: f32 = 1.5;
/// Drops thinner than this are not seen.
const THINNEST: f32 = 0.8;
/// Grey of the mud.
const MUD: f32 = 63.0 / 255.0;

/// Covers parts of the image with dark grey.
pub(super) fn spatter(mut image: Plane, random: &mut Random) -> Plane {
    let mut drops = Plane::zeros(image.height, image.width);
    drops.map(|_| NOISE.0 + NOISE.1 * random.normal());
    let mut drops = drops.blurred(DROPS_SIGMA);
    drops.map(|value| if value > THRESHOLD { 1.0 } else { 0.0 });
    let drops = drops.blurred(EDGE_SIGMA);
    for (value, &cover) in image.values.iter_mut().zip(&drops.values) {
        if cover >= THINNEST {
            *value = *value * (1.0 - cover) + MUD * cover;
        }
    }
    image
}
