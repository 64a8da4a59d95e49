//! The logits of a request's images, [n, classes], whatever form its pixels have.

use crate::{
    engine::{Network, Pixel},
    pixels::Pixels,
};

/// Nanoseconds of work between two looks at whether it is still wanted.
const SLICE_NANOSECONDS: f64 = 5_000_000.0;

/// All at once.
#[must_use]
pub fn at_once(network: &Network, pixels: &Pixels) -> Vec<f32> {
    let mut logits = vec![0.0; pixels.len() / network.inputs() * network.classes()];
    match pixels {
        Pixels::Bytes(bytes) => network.logits(bytes, &mut logits),
        Pixels::Floats(floats) => network.logits(floats, &mut logits),
    }
    logits
}

/// The same in slices, between which it is given up when `stop` says so: then there is nothing.
pub fn in_slices(network: &Network, pixels: &Pixels, stop: impl Fn() -> bool) -> Option<Vec<f32>> {
    match pixels {
        Pixels::Bytes(bytes) => slices(network, bytes, stop),
        Pixels::Floats(floats) => slices(network, floats, stop),
    }
}

fn slices<P: Pixel>(network: &Network, pixels: &[P], stop: impl Fn() -> bool) -> Option<Vec<f32>> {
    let images = pixels.len() / network.inputs();
    let slice = (SLICE_NANOSECONDS / network.costs().among_many()).clamp(64.0, 4096.0) as usize;
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
