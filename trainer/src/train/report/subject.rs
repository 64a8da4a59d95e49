//! The network that a report is about, and its answers by libtorch.

use super::super::TrainError;
use super::super::network::{Forward, Weights, transposed};
use super::super::parameters::{Flat, Shape, host};
use super::super::resident::scale;
use digits_checkpoint::Layer;
use digits_checkpoint::manifest::{Architecture, InputSpec};
use digits_dataset::LabelledImages;
use tch::{Kind, Tensor};

/// Floats of the widest layer of a piece.
const PIECE_FLOATS: usize = 1 << 20;

/// What a report is made of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Weights and biases as they are published, from the input on.
    pub layers: &'a [Layer],
    /// The network that they are of.
    pub architecture: &'a Architecture,
    /// How a raw image becomes an input.
    pub input: &'a InputSpec,
    /// Logits are divided by it before the softmax; more than 0.
    pub temperature: f64,
}

impl Subject<'_> {
    /// Checks that the images are such as the network takes.
    pub(super) fn check(&self, test: &LabelledImages) -> Result<(), TrainError> {
        let refuse = |message: String| {
            Err(TrainError::Plan {
                field: "data.dataset",
                message,
            })
        };
        let (images, input) = (&test.images, self.input);
        if (images.height, images.width) != (input.height, input.width) {
            return refuse(format!(
                "the test images are {}×{} pixels, the network takes {}×{}",
                images.height, images.width, input.height, input.width
            ));
        }
        let whole = images.count.checked_mul(images.image_size()) == Some(images.pixels.len());
        if images.count == 0 || !whole || test.labels.len() != images.count {
            return refuse("the test part does not hold the images that it claims to".to_owned());
        }
        let classes = self.architecture.classes;
        match test.labels.iter().find(|&&it| usize::from(it) >= classes) {
            Some(label) => refuse(format!(
                "the test part has the label {label}, the network has {classes} classes"
            )),
            None => Ok(()),
        }
    }
}

/// The network on the CPU.
pub(super) struct Network {
    shape: Shape,
    architecture: Architecture,
    input: InputSpec,
    parameters: Flat,
    transposed: Vec<Tensor>,
    /// Memory for pieces of a size; the last piece of a set may be short.
    forwards: Vec<(usize, Forward)>,
    piece: usize,
}

const OPTIONS: (Kind, tch::Device) = (Kind::Float, tch::Device::Cpu);

impl Network {
    /// For sets of `images`, at least one.
    pub(super) fn new(subject: &Subject<'_>, images: usize) -> Result<Self, TrainError> {
        let shape = Shape::of(subject.architecture);
        let mut parameters = Flat::zeros(&shape, OPTIONS.0, OPTIONS.1)?;
        parameters.load(subject.layers)?;
        Ok(Self {
            piece: (PIECE_FLOATS / shape.widest()).clamp(1, images),
            transposed: transposed(&parameters)?,
            parameters,
            shape,
            architecture: subject.architecture.clone(),
            input: *subject.input,
            forwards: Vec::new(),
        })
    }

    /// Images that go through together, at most.
    pub(super) fn piece(&self) -> usize {
        self.piece
    }

    /// Logits of raw images, [images, classes].
    pub(super) fn logits(&mut self, pixels: &[u8]) -> Result<Vec<f32>, TrainError> {
        let size = self.architecture.input_size;
        let images = pixels.len() / size;
        let raw = Tensor::f_from_data_size(pixels, &[images as i64, size as i64], Kind::Uint8)?;
        let mut batch = raw.f_to_kind(Kind::Float)?;
        scale(&mut batch, &self.input)?;
        let known = self.forwards.iter().position(|(of, _)| *of == images);
        let at = match known {
            Some(at) => at,
            None => {
                let activation = self.architecture.activation;
                let forward = Forward::new(&self.shape, activation, images, OPTIONS)?;
                self.forwards.push((images, forward));
                self.forwards.len() - 1
            }
        };
        let forward = &mut self.forwards[at].1;
        forward.run(&batch, &Weights::new(&self.parameters, &self.transposed))?;
        host(&forward.logits)
    }
}
