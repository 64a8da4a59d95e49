//! The exam of a checkpoint: raw images and what libtorch answers to them, so that a reader with another
//! engine can show that it computes the same network.

use super::network::{Forward, Weights, transposed};
use super::parameters::{Flat, Shape, host};
use super::resident::scale;
use super::rng::Mt19937;
use super::{TrainError, threads};
use digits_checkpoint::manifest::{Architecture, InputSpec};
use digits_checkpoint::{Exam, Layer};
use digits_dataset::Images;
use tch::{Kind, Tensor};

/// Real images of an exam, at most.
const REAL: usize = 26;
/// Images of noise: the dense ones fill every pixel, the sparse ones one in eight.
const DENSE_NOISE: usize = 2;
const SPARSE_NOISE: usize = 2;
/// Seed of the noise: any number will do, as long as it stays.
const NOISE_SEED: u64 = 28;

/// The questions, u8, one image after another: some of `images` by their numbers, a blank one, a saturated
/// one, noise.
pub(super) fn questions(images: &Images, numbers: &[u32]) -> Vec<u8> {
    let size = images.height * images.width;
    let mut pixels = Vec::with_capacity((REAL + 2 + DENSE_NOISE + SPARSE_NOISE) * size);
    for &number in numbers.iter().take(REAL) {
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

/// The exam of weights that were not trained here, with all of `images` (at most 26 of them) among the questions. On a
/// thread of the caller's that computes nothing else: its number of threads is set to one.
///
/// # Errors
/// [`TrainError::Torch`].
pub fn examine(
    images: &Images,
    layers: &[Layer],
    architecture: &Architecture,
    input: &InputSpec,
) -> Result<Exam, TrainError> {
    threads::set(1);
    let _no_gradients = tch::no_grad_guard();
    let numbers: Vec<u32> = (0..).take(images.count).collect();
    answer(questions(images, &numbers), layers, architecture, input)
}

/// Lets libtorch answer on the CPU, in float32, with the weights as they are published.
pub(super) fn answer(
    questions: Vec<u8>,
    layers: &[Layer],
    architecture: &Architecture,
    input: &InputSpec,
) -> Result<Exam, TrainError> {
    let size = input.height * input.width;
    let images = questions.len() / size;
    let options = (Kind::Float, tch::Device::Cpu);
    let shape = Shape::of(architecture);
    let mut parameters = Flat::zeros(&shape, options.0, options.1)?;
    parameters.load(layers)?;
    let transposed = transposed(&parameters)?;
    let mut batch =
        Tensor::f_from_data_size(&questions, &[images as i64, size as i64], Kind::Uint8)?
            .f_to_kind(Kind::Float)?;
    scale(&mut batch, input)?;
    let mut forward = Forward::new(&shape, architecture.activation, images, options)?;
    forward.run(&batch, &Weights::new(&parameters, &transposed))?;
    Ok(Exam {
        inputs: questions,
        logits: host(&forward.logits)?,
        images,
    })
}
