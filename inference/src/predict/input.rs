//! A decoded request: images in the form in which the client sent them, and how to classify them.

use super::tensor::TensorValues;
use bytes::Bytes;

/// A request that passed the checks of its codec.
pub struct PredictInput {
    /// The images; their number and sizes fit the model.
    pub images: InputImages,
    /// Requests of one key go to the same route; may be empty.
    pub routing_key: String,
    /// Images whose most probable label has a lower probability are reported as unsure.
    pub min_probability: f32,
}

/// What pictures may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Numbers of any length.
    Number,
    /// One digit.
    Single,
}

/// Images as the client sent them.
pub enum InputImages {
    /// Grey bytes in the form of the training set, [n, height × width].
    Pixels(Bytes),
    /// Grey bytes that are normalized first, [n, height × width].
    Unnormalized(Bytes),
    /// Encoded pictures of any size, and what they may show.
    Encoded(Vec<Bytes>, Expect),
    /// Values of a tensor in the form of the training set, [n, height × width].
    Tensor(TensorValues),
}
