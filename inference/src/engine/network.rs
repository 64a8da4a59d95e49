//! A multi-layer perceptron, prepared for both execution paths.

use super::{
    Activation,
    aligned::{AlignedFloats, padded},
    dense::Product,
    panels::{Panels, WIDTH},
    path::{ExecutionPath, Work},
    pixel::{InputScale, Pixel, Scaling},
    sparse::{self, Entry, Rows},
};
use std::cell::RefCell;

/// Maximum number of images in a chunk of the dense path.
const MAX_CHUNK_IMAGES: usize = 256;
/// The same of the sparse path: their entries and sums stay in the second cache, beside the weights.
const MAX_CHUNK_SPARSE: usize = 64;
/// Maximum number of floats that a chunk of wide layers takes in each scratch buffer.
const MAX_CHUNK_FLOATS: usize = 1 << 20;

/// A linear layer, as PyTorch stores it.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// Number of inputs.
    pub inputs: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// [outputs, inputs], row by row.
    pub weight: &'a [f32],
    /// One per output.
    pub bias: &'a [f32],
}

/// Errors of building a network from layers.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No layers.
    #[error("a network needs at least one layer")]
    Empty,
    /// The numbers of a layer do not fit its shape, or its inputs the outputs of the layer before.
    #[error("layer {0} does not fit its shape or the layer before")]
    Shape(usize),
    /// Offsets of the weights exceed 32 bits.
    #[error("layer {0} is too large")]
    TooLarge(usize),
}

struct Layer {
    inputs: usize,
    outputs: usize,
    /// Floats of a row: `outputs`, rounded up to whole panels.
    stride: usize,
    weights: Panels,
    /// [stride].
    bias: AlignedFloats,
}

impl Layer {
    fn new(index: usize, linear: &Linear<'_>) -> Result<Self, NetworkError> {
        let Linear {
            inputs,
            outputs,
            weight,
            bias,
        } = *linear;
        if inputs == 0
            || outputs == 0
            || bias.len() != outputs
            || inputs.checked_mul(outputs) != Some(weight.len())
        {
            return Err(NetworkError::Shape(index));
        }
        let weights = Panels::new(inputs, outputs, weight).ok_or(NetworkError::TooLarge(index))?;
        let stride = weights.outputs();
        let mut layer = Self {
            inputs,
            outputs,
            stride,
            weights,
            bias: AlignedFloats::zeros(stride),
        };
        layer.bias.as_mut_slice()[..outputs].copy_from_slice(bias);
        Ok(layer)
    }

    /// sums = values × weights + bias; `sums` is [images, stride].
    fn multiply(&self, values: &[f32], values_stride: usize, images: usize, sums: &mut [f32]) {
        Product {
            panels: &self.weights,
            bias: self.bias.as_slice(),
            values,
            values_stride,
            sums: &mut sums[..images * self.stride],
        }
        .compute();
    }
}

/// A network. Immutable; shared between threads.
pub struct Network {
    layers: Vec<Layer>,
    activation: Activation,
    scaling: Scaling,
    /// [stride of the first layer]: its sums for an empty image.
    background: AlignedFloats,
    /// Floats of the widest row that a scratch buffer holds.
    widest: usize,
    work: Work,
}

impl Network {
    /// Prepares the layers, from the input on.
    ///
    /// # Errors
    ///
    /// When there are none or their shapes do not fit each other.
    pub fn new(
        layers: &[Linear<'_>],
        activation: Activation,
        scale: InputScale,
    ) -> Result<Self, NetworkError> {
        let mut prepared: Vec<Layer> = Vec::with_capacity(layers.len());
        for (index, linear) in layers.iter().enumerate() {
            if prepared
                .last()
                .is_some_and(|before| before.outputs != linear.inputs)
            {
                return Err(NetworkError::Shape(index));
            }
            prepared.push(Layer::new(index, linear)?);
        }
        let first = prepared.first().ok_or(NetworkError::Empty)?;
        let scaling = Scaling::new(scale);
        let background = background(first, scaling.background());
        let widest = prepared
            .iter()
            .map(|layer| layer.stride)
            .fold(padded(first.inputs), usize::max);
        let multiply_adds = |layer: &Layer| layer.inputs * layer.stride;
        let work = Work {
            pixels: first.inputs,
            per_pixel: first.stride,
            beyond: prepared[1..].iter().map(multiply_adds).sum(),
        };
        Ok(Self {
            activation,
            scaling,
            background,
            widest,
            work,
            layers: prepared,
        })
    }

    /// Pixels of an image.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs
    }

    /// Logits of an image.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs
    }

    /// Multiply-adds of one image, with those of the weights that fill up vectors.
    #[must_use]
    pub fn multiply_adds(&self) -> usize {
        self.work.dense()
    }

    /// Logits of the images, on the path that suits their number and the ink of the first.
    ///
    /// `images` is [n, inputs], `logits` is [n, classes].
    ///
    /// # Panics
    ///
    /// When the two are not of these shapes.
    pub fn logits<P: Pixel>(&self, images: &[P], logits: &mut [f32]) {
        let count = images.len() / self.inputs();
        let inked = || P::inked(&images[..self.inputs()]);
        self.logits_on(self.work.path(count, inked), images, logits);
    }

    /// Logits of the images, on one path.
    ///
    /// # Panics
    ///
    /// As [`Self::logits`].
    pub fn logits_on<P: Pixel>(&self, path: ExecutionPath, images: &[P], logits: &mut [f32]) {
        let count = images.len() / self.inputs();
        assert_eq!(images.len(), count * self.inputs(), "images of [n, inputs]");
        assert_eq!(
            logits.len(),
            count * self.classes(),
            "logits of [n, classes]"
        );
        SCRATCH.with_borrow_mut(|scratch| match path {
            ExecutionPath::Sparse => {
                let chunk = (MAX_CHUNK_FLOATS / self.widest)
                    .clamp(1, MAX_CHUNK_SPARSE)
                    .min(count.max(1));
                scratch.make_room(chunk * self.widest, chunk * self.widest);
                let outputs = logits.chunks_mut(chunk * self.classes());
                for (images, logits) in images.chunks(chunk * self.inputs()).zip(outputs) {
                    self.sparse(images, logits, scratch);
                }
            }
            ExecutionPath::Dense => {
                let chunk = (MAX_CHUNK_FLOATS / self.widest)
                    .clamp(16, MAX_CHUNK_IMAGES)
                    .min(count.max(1));
                scratch.make_room(chunk * self.widest, 0);
                let outputs = logits.chunks_mut(chunk * self.classes());
                for (images, logits) in images.chunks(chunk * self.inputs()).zip(outputs) {
                    self.dense(images, logits, scratch);
                }
            }
        });
    }

    fn sparse<P: Pixel>(&self, images: &[P], logits: &mut [f32], scratch: &mut Scratch) {
        let Scratch {
            one, entries, ends, ..
        } = scratch;
        ends.clear();
        let mut end = 0;
        for image in images.chunks_exact(self.inputs()) {
            end += P::entries(image, &self.scaling, &mut entries[end..]);
            ends.push(end);
        }
        let mut base = &self.background;
        let mut stride = 0;
        for (index, layer) in self.layers.iter().enumerate() {
            stride = layer.stride;
            let sums = &mut one.as_mut_slice()[..ends.len() * stride];
            let rows = Rows { entries, ends };
            sparse::accumulate(&layer.weights, base.as_slice(), rows, sums);
            if let Some(next) = self.layers.get(index + 1) {
                let mut end = 0;
                for (sums, stored) in sums.chunks_exact_mut(stride).zip(&mut *ends) {
                    let sums = &mut sums[..layer.outputs];
                    self.activation.apply(sums);
                    end += sparse::active(sums, &mut entries[end..]);
                    *stored = end;
                }
                base = &next.bias;
            }
        }
        let rows = one.as_slice().chunks_exact(stride);
        for (logits, row) in logits.chunks_exact_mut(self.classes()).zip(rows) {
            logits.copy_from_slice(&row[..logits.len()]);
        }
    }

    fn dense<P: Pixel>(&self, images: &[P], logits: &mut [f32], scratch: &mut Scratch) {
        let Scratch { one, two, .. } = scratch;
        let (mut values, mut sums) = (one, two);
        let count = images.len() / self.inputs();
        P::values(images, &self.scaling, values.as_mut_slice());
        let mut stride = self.inputs();
        for (index, layer) in self.layers.iter().enumerate() {
            layer.multiply(values.as_slice(), stride, count, sums.as_mut_slice());
            stride = layer.stride;
            if index + 1 < self.layers.len() {
                self.activation
                    .apply(&mut sums.as_mut_slice()[..count * stride]);
            }
            std::mem::swap(&mut values, &mut sums);
        }
        let rows = values.as_slice().chunks_exact(stride);
        for (logits, row) in logits.chunks_exact_mut(self.classes()).zip(rows) {
            logits.copy_from_slice(&row[..logits.len()]);
        }
    }
}

/// Sums of the first layer for an image that is `value` everywhere. The sparse path starts from
/// them.
fn background(first: &Layer, value: f32) -> AlignedFloats {
    let mut sums: Vec<f64> = first
        .bias
        .as_slice()
        .iter()
        .map(|&bias| f64::from(bias))
        .collect();
    if value != 0.0 {
        for (panel, sums) in first.weights.iter().zip(sums.chunks_exact_mut(WIDTH)) {
            for row in panel {
                for (sum, &weight) in sums.iter_mut().zip(row) {
                    *sum += f64::from(value) * f64::from(weight);
                }
            }
        }
    }
    let mut floats = AlignedFloats::zeros(first.stride);
    for (float, sum) in floats.as_mut_slice().iter_mut().zip(sums) {
        *float = sum as f32;
    }
    floats
}

/// Buffers of a thread for values between the layers; kept from request to request.
struct Scratch {
    one: AlignedFloats,
    two: AlignedFloats,
    entries: Vec<Entry>,
    ends: Vec<usize>,
}

impl Scratch {
    fn make_room(&mut self, floats: usize, entries: usize) {
        self.one.grow(floats);
        self.two.grow(floats);
        if self.entries.len() < entries {
            self.entries.resize(entries, Entry::default());
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        one: AlignedFloats::zeros(0),
        two: AlignedFloats::zeros(0),
        entries: Vec::new(),
        ends: Vec::new(),
    });
}
