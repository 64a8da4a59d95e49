//! Decodes weights and exam from safetensors bytes, of which only the digest has been verified.

use super::{
    Answers, Exam, Layer,
    encode::{bias_name, weight_name},
};
use crate::{
    limits,
    manifest::Architecture,
    refusal::{Refusal, RefusalReason},
};
use safetensors::{Dtype, SafeTensors};

/// The layers of `model.safetensors`: exactly the tensors of `architecture`, float32, finite.
pub(crate) fn decode_model(
    bytes: &[u8],
    architecture: &Architecture,
) -> Result<Vec<Layer>, Refusal> {
    let tensors = parse(bytes, "the model file")?;
    let shapes = architecture.layers();
    if tensors.len() != 2 * shapes.len() {
        return Err(Refusal::new(
            RefusalReason::Shape,
            format!(
                "the model file holds {} tensors where the architecture has {}",
                tensors.len(),
                2 * shapes.len()
            ),
        ));
    }
    shapes
        .into_iter()
        .enumerate()
        .map(|(index, (outputs, inputs))| {
            Ok(Layer {
                outputs,
                inputs,
                weight: floats(&tensors, &weight_name(index), &[outputs, inputs])?,
                bias: floats(&tensors, &bias_name(index), &[outputs])?,
            })
        })
        .collect()
}

/// The exam of `exam.safetensors`, for inputs and classes of `architecture`: inputs and logits, and
/// the probabilities and labels that users get, which older exams do not have.
pub(crate) fn decode_exam(bytes: &[u8], architecture: &Architecture) -> Result<Answers, Refusal> {
    let tensors = parse(bytes, "the exam file")?;
    let exam = |message: String| Refusal::new(RefusalReason::Exam, message);
    let images = match tensors.tensor("inputs").map(|view| view.shape().to_vec()) {
        Ok(shape) if shape.len() == 2 => shape[0],
        _ => return Err(exam("the exam file has no two-dimensional `inputs`".into())),
    };
    if images == 0 || images > limits::EXAM_IMAGES {
        return Err(exam(format!(
            "the exam has {images} images where 1 to {} are accepted",
            limits::EXAM_IMAGES
        )));
    }
    let shape = [images, architecture.input_size];
    let inputs = data(&tensors, "inputs", Dtype::U8, &shape)
        .map_err(|refusal| exam(refusal.message))?
        .to_vec();
    let by_class = [images, architecture.classes];
    let rows = |name| floats(&tensors, name, &by_class).map_err(|refusal| exam(refusal.message));
    let logits = rows("logits")?;
    let has = |name| tensors.names().contains(&name);
    let probabilities = has("probabilities").then(|| rows("probabilities"));
    let labels = has("labels").then(|| match tensors.tensor("labels") {
        Ok(view) => serde_json::from_slice(view.data())
            .map_err(|error| exam(format!("the labels of the exam cannot be read: {error}"))),
        Err(error) => Err(exam(error.to_string())),
    });
    Ok(Answers {
        exam: Exam {
            inputs,
            logits,
            images,
        },
        probabilities: probabilities.transpose()?,
        labels: labels.transpose()?,
    })
}

fn parse<'a>(bytes: &'a [u8], what: &str) -> Result<SafeTensors<'a>, Refusal> {
    let refuse = |message| Refusal::new(RefusalReason::Header, message);
    let length = bytes
        .first_chunk()
        .map(|length| u64::from_le_bytes(*length))
        .ok_or_else(|| refuse(format!("{what} is too short for a header")))?;
    // Before the parser sees it: its own limit is 100 MB of JSON.
    if length > limits::HEADER_BYTES {
        return Err(refuse(format!(
            "the header of {what} has {length} bytes where at most {} are accepted",
            limits::HEADER_BYTES
        )));
    }
    SafeTensors::deserialize(bytes)
        .map_err(|error| refuse(format!("the header of {what} cannot be read: {error}")))
}

fn floats(tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, Refusal> {
    let (values, rest) = data(tensors, name, Dtype::F32, shape)?.as_chunks();
    debug_assert!(rest.is_empty(), "the parser checked size against shape");
    let values: Vec<f32> = values
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(index) => Err(Refusal::new(
            RefusalReason::NotFinite,
            format!(
                "tensor `{name}` holds {} at position {index}",
                values[index]
            ),
        )),
    }
}

fn data<'a>(
    tensors: &SafeTensors<'a>,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
) -> Result<&'a [u8], Refusal> {
    let refuse = |message| Err(Refusal::new(RefusalReason::Shape, message));
    let Ok(view) = tensors.tensor(name) else {
        return refuse(format!("tensor `{name}` is missing"));
    };
    if view.dtype() != dtype || view.shape() != shape {
        return refuse(format!(
            "tensor `{name}` is {:?} {:?} instead of {dtype:?} {shape:?}",
            view.dtype(),
            view.shape()
        ));
    }
    Ok(view.data())
}
