//! Logits of a request's images, [n, classes], in either form of pixels.

use super::pixels::Pixels;
use crate::engine::{Network, Pixel};

/// Multiply-adds between two checks whether the response is still wanted: some milliseconds.
const SLICE_MULTIPLY_ADDS: usize = 50_000_000;

/// Logits of all images at once.
#[must_use]
pub fn of(network: &Network, pixels: &Pixels) -> Vec<f32> {
    let mut logits = vec![0.0; pixels.len() / network.inputs() * network.classes()];
    match pixels {
        Pixels::Bytes(bytes) => network.logits(bytes, &mut logits),
        Pixels::Floats(floats) => network.logits(floats, &mut logits),
    }
    logits
}

/// Logits in slices; `None` when `stop` returned true before one of them.
pub fn in_slices(network: &Network, pixels: &Pixels, stop: impl Fn() -> bool) -> Option<Vec<f32>> {
    match pixels {
        Pixels::Bytes(bytes) => slices(network, bytes, stop),
        Pixels::Floats(floats) => slices(network, floats, stop),
    }
}

fn slices<P: Pixel>(network: &Network, pixels: &[P], stop: impl Fn() -> bool) -> Option<Vec<f32>> {
    let images = pixels.len() / network.inputs();
    let slice = (SLICE_MULTIPLY_ADDS / network.multiply_adds()).clamp(64, 4096);
    let mut logits = vec![0.0; images * network.classes()];
    let outputs = logits.chunks_mut(slice * network.classes());
    for (pixels, logits) in pixels.chunks(slice * network.inputs()).zip(outputs) {
        if stop() {
            return None;
        }
        network.logits(pixels, logits);
    }
    Some(logits)
}
