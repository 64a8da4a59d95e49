//! A network on the CPU in float32: computes the logits of raw images, for exams and report cards.

use super::TrainError;
use super::device_images::scale;
use super::network::{Forward, Weights};
use super::parameters::{Flat, Shape, host};
use digits_checkpoint::Layer;
use digits_checkpoint::manifest::{Activation, Architecture, InputSpec};
use tch::{Device, Kind, Tensor};

const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Floats of the widest layer of a chunk.
const CHUNK_FLOATS: usize = 1 << 20;

/// A network with the weights as they are published.
pub(super) struct CpuNetwork {
    shape: Shape,
    activation: Activation,
    input: InputSpec,
    parameters: Flat,
    transposed: Vec<Tensor>,
    /// Buffers by number of images.
    forwards: Vec<(usize, Forward)>,
}

impl CpuNetwork {
    pub(super) fn new(
        layers: &[Layer],
        architecture: &Architecture,
        input: &InputSpec,
    ) -> Result<Self, TrainError> {
        let shape = Shape::of(architecture);
        let mut parameters = Flat::zeros(&shape, OPTIONS)?;
        parameters.load(layers)?;
        Ok(Self {
            transposed: parameters.transposed()?,
            parameters,
            shape,
            activation: architecture.activation,
            input: *input,
            forwards: Vec::new(),
        })
    }

    /// Images of `count` that are best computed in one call.
    pub(super) fn chunk(&self, count: usize) -> usize {
        (CHUNK_FLOATS / self.shape.widest()).clamp(1, count)
    }

    /// Logits, [images, classes], of raw images, u8, one after another.
    pub(super) fn logits(&mut self, pixels: &[u8]) -> Result<Vec<f32>, TrainError> {
        let size = self.input.height * self.input.width;
        let images = pixels.len() / size;
        let raw = Tensor::f_from_data_size(pixels, &[images as i64, size as i64], Kind::Uint8)?;
        let mut batch = raw.f_to_kind(Kind::Float)?;
        scale(&mut batch, &self.input)?;
        let known = self.forwards.iter().position(|(of, _)| *of == images);
        let at = match known {
            Some(at) => at,
            None => {
                let forward = Forward::new(&self.shape, self.activation, images, OPTIONS)?;
                self.forwards.push((images, forward));
                self.forwards.len() - 1
            }
        };
        let forward = &mut self.forwards[at].1;
        forward.run(&batch, &Weights::new(&self.parameters, &self.transposed))?;
        host(&forward.logits)
    }
}
