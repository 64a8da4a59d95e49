//! Blur: through glass, and from a moving camera.

use super::Plane;
use crate::random::Random;

/// Standard deviation of both blurs around the exchange, in pixels.
const GLASS_SIGMA: f32 = 0.7;
/// Largest distance of an exchanged pixel, up and to the left.
const GLASS_REACH: usize = 1;
const GLASS_ROUNDS: usize = 2;

/// Pixels that a movement goes over, the first not counted.
const MOTION_RADIUS: usize = 10;
/// Standard deviation along the movement, in pixels.
const MOTION_SIGMA: f32 = 3.0;
/// Greatest angle of a movement to the horizontal, in degrees.
const MOTION_DEGREES: f32 = 45.0;

/// Blurs, swaps every other pixel with a neighbour, and blurs again.
///
/// The benchmark's blur takes the columns of a grey image for colour channels and so goes along one
/// axis only; so does this one.
pub(super) fn glass(image: Plane, random: &mut Random) -> Plane {
    let mut image = image.blurred_down(GLASS_SIGMA);
    image.map(|value| (value * 255.0).floor() / 255.0);
    let (height, width) = (image.height, image.width);
    for _ in 0..GLASS_ROUNDS {
        for row in (GLASS_REACH + 1..height).rev() {
            for column in (GLASS_REACH + 1..width).rev() {
                if random.below(2) == 0 {
                    continue;
                }
                let other_column = column - random.below(GLASS_REACH + 1);
                let other_row = row - random.below(GLASS_REACH + 1);
                image
                    .values
                    .swap(row * width + column, other_row * width + other_column);
            }
        }
    }
    image.blurred_down(GLASS_SIGMA)
}

/// Smears along a line of random direction: the weights are one half of a Gaussian, as
/// ImageMagick's motion blur has them, and the pixels on the line the nearest whole ones.
pub(super) fn motion(image: &Plane, random: &mut Random) -> Plane {
    let angle = random.between(-MOTION_DEGREES, MOTION_DEGREES).to_radians();
    let (sine, cosine) = (libm::sinf(angle), libm::cosf(angle));
    let mut weights = [0.0_f32; 2 * MOTION_RADIUS + 1];
    let mut offsets = [(0, 0); 2 * MOTION_RADIUS + 1];
    for (at, (weight, offset)) in weights.iter_mut().zip(&mut offsets).enumerate() {
        let along = at as f32;
        let share = along / MOTION_SIGMA;
        *weight = libm::expf(-0.5 * share * share);
        *offset = (
            (along * sine - 0.5).ceil() as isize,
            (along * cosine - 0.5).ceil() as isize,
        );
    }
    let sum: f32 = weights.iter().sum();
    image.filtered(|row, column| {
        let smeared: f32 = weights
            .iter()
            .zip(offsets)
            .map(|(weight, (down, right))| weight * image.nearest(row + down, column + right))
            .sum();
        smeared / sum
    })
}
