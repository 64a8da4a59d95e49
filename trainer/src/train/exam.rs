//! The exam of a checkpoint: raw images with the logits that libtorch computes for them. A reader
//! with another engine checks with it that it computes the same network.

use super::cpu_network::CpuNetwork;
use super::mt19937::Mt19937;
use super::{TrainError, threads};
use digits_checkpoint::manifest::{Architecture, InputSpec};
use digits_checkpoint::{Exam, Layer};
use digits_dataset::Images;

/// Images of the data set in an exam, at most.
const MAX_DATASET_IMAGES: usize = 26;
/// Images of noise: the dense ones fill every pixel, the sparse ones one in eight.
const DENSE_NOISE: usize = 2;
const SPARSE_NOISE: usize = 2;
/// Seed of the noise. Any number serves, but it must not change.
const NOISE_SEED: u64 = 28;

/// The inputs of an exam, u8, one image after another: the first 26 of `numbers` from `images`, a
/// blank one, a saturated one, and noise.
pub(super) fn inputs(images: &Images, numbers: &[u32]) -> Vec<u8> {
    let size = images.height * images.width;
    let mut pixels =
        Vec::with_capacity((MAX_DATASET_IMAGES + 2 + DENSE_NOISE + SPARSE_NOISE) * size);
    for &number in numbers.iter().take(MAX_DATASET_IMAGES) {
        let first = number as usize * size;
        pixels.extend_from_slice(&images.pixels[first..first + size]);
    }
    pixels.extend(std::iter::repeat_n(0, size));
    pixels.extend(std::iter::repeat_n(u8::MAX, size));
    let mut noise = Mt19937::new(NOISE_SEED);
    pixels.extend((0..DENSE_NOISE * size).map(|_| (noise.word() >> 24) as u8));
    pixels.extend((0..SPARSE_NOISE * size).map(|_| {
        let word = noise.word();
        if word & 7 == 0 { (word >> 24) as u8 } else { 0 }
    }));
    pixels
}

/// The exam of weights that were not trained here; its inputs hold the first 26 of `images`. Sets
/// the number of libtorch threads of the calling thread to one.
///
/// # Errors
/// [`TrainError::Torch`].
pub fn make_exam(
    images: &Images,
    layers: &[Layer],
    architecture: &Architecture,
    input: &InputSpec,
) -> Result<Exam, TrainError> {
    threads::set(1);
    let _no_gradients = tch::no_grad_guard();
    let numbers: Vec<u32> = (0..).take(images.count).collect();
    compute(inputs(images, &numbers), layers, architecture, input)
}

/// Computes the logits of `inputs` on the CPU in float32, with the weights as they are published.
pub(super) fn compute(
    inputs: Vec<u8>,
    layers: &[Layer],
    architecture: &Architecture,
    input: &InputSpec,
) -> Result<Exam, TrainError> {
    let logits = CpuNetwork::new(layers, architecture, input)?.logits(&inputs)?;
    Ok(Exam {
        images: inputs.len() / (input.height * input.width),
        inputs,
        logits,
    })
}
