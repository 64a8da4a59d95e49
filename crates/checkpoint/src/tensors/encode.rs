//! Encodes weights and exam as safetensors, deterministically, so that a digest identifies a
//! network.

use super::{Exam, Layer};
use crate::manifest::Architecture;
use bytes::Bytes;
use safetensors::{Dtype, tensor::TensorView};

/// The bytes of `model.safetensors`: a pure state dict without metadata, the tensors named as
/// [`Architecture`](crate::manifest::Architecture) describes, sorted by name.
///
/// # Panics
/// When a layer's vectors are not of the lengths that its sizes require.
#[must_use]
pub fn encode_model(layers: &[Layer]) -> Bytes {
    let mut tensors = Vec::with_capacity(layers.len() * 2);
    for (index, layer) in layers.iter().enumerate() {
        let shape = vec![layer.outputs, layer.inputs];
        tensors.push((weight_name(index), shape, little_endian(&layer.weight)));
        let shape = vec![layer.outputs];
        tensors.push((bias_name(index), shape, little_endian(&layer.bias)));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, data)| (name, view(Dtype::F32, shape, data)));
    serialize(views)
}

/// The bytes of `exam.safetensors` for a [`Draft`](crate::Draft): `inputs`, u8 [images, `input`],
/// and `logits`, float32 [images, `classes`].
///
/// # Panics
/// When the exam's vectors are not of these lengths.
#[must_use]
pub fn encode_exam(exam: &Exam, input: usize, classes: usize) -> Bytes {
    let logits = little_endian(&exam.logits);
    serialize([
        (
            "inputs",
            view(Dtype::U8, &[exam.images, input], &exam.inputs),
        ),
        ("logits", view(Dtype::F32, &[exam.images, classes], &logits)),
    ])
}

/// What users get for the images of an exam.
pub(crate) struct Served<'a> {
    /// [images, classes].
    pub(crate) probabilities: &'a [f32],
    /// Names of the classes.
    pub(crate) labels: &'a [String],
}

/// The bytes of `exam.safetensors` as it is published: those of [`encode_exam`] with
/// `probabilities`, float32 [images, classes], and `labels`, u8, the JSON array of the names.
pub(crate) fn encode_served_exam(
    exam: &Exam,
    architecture: &Architecture,
    served: &Served<'_>,
) -> Bytes {
    let by_class = [exam.images, architecture.classes];
    let logits = little_endian(&exam.logits);
    let probabilities = little_endian(served.probabilities);
    let labels = serde_json::to_vec(served.labels).expect("strings are plain data");
    let inputs = [exam.images, architecture.input_size];
    serialize([
        ("inputs", view(Dtype::U8, &inputs, &exam.inputs)),
        ("labels", view(Dtype::U8, &[labels.len()], &labels)),
        ("logits", view(Dtype::F32, &by_class, &logits)),
        ("probabilities", view(Dtype::F32, &by_class, &probabilities)),
    ])
}

pub(super) fn weight_name(layer: usize) -> String {
    format!("layers.{}.weight", 2 * layer + 1)
}

pub(super) fn bias_name(layer: usize) -> String {
    format!("layers.{}.bias", 2 * layer + 1)
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn view<'a>(dtype: Dtype, shape: &[usize], data: &'a [u8]) -> TensorView<'a> {
    TensorView::new(dtype, shape.to_vec(), data).expect("as many values as the shape requires")
}

fn serialize<'a, S: AsRef<str> + Ord + std::fmt::Display>(
    tensors: impl IntoIterator<Item = (S, TensorView<'a>)>,
) -> Bytes {
    // Without metadata nothing in these bytes depends on the order of a hash map.
    safetensors::serialize(tensors, None)
        .expect("a header of a few names is within the limits")
        .into()
}
