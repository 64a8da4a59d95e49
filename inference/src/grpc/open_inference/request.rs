//! From a ModelInferRequest to pixels: one tensor, raw or typed, checked against the model and the limits.

use super::{
    INPUT,
    answer::{Form, Output},
};
use crate::{grpc::RequestLimits, model::LoadedModel, pixels::Pixels, routing::MAX_KEY_BYTES};
use bytes::Bytes;
use digits_proto::open_inference::{
    InferParameter, InferTensorContents, ModelInferRequest,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};
use digits_server::violations::Violations;
use std::{collections::HashMap, sync::Arc};
use tonic::Status;

/// Key by which a caller always meets the same route of a canary, as a parameter of the request.
const ROUTING_KEY: &str = "routing_key";
/// Parameters of the protocol's extensions that would change the answer, and that this server does not know.
const UNKNOWN: [&str; 2] = ["shared_memory_region", "classification"];
/// Values that are converted where the request arrived; more take a while.
const QUICK: usize = 200_000;

/// A valid request, but for its values.
pub(super) struct Read {
    pub(super) id: String,
    pub(super) routing_key: String,
    pub(super) values: Values,
    pub(super) form: Form,
}

/// Values of the input, as many as the shape says.
pub(super) enum Values {
    /// Grey bytes.
    Bytes(Bytes),
    /// Grey bytes, in the field that the protocol has for them.
    Numbers(Vec<u32>),
    /// Grey values, little-endian.
    RawFloats(Bytes),
    /// Grey values.
    Floats(Vec<f32>),
}

/// Checks a request against a checkpoint and the limits.
///
/// # Errors
///
/// INVALID_ARGUMENT with everything that is wrong.
pub(super) fn read(
    mut request: ModelInferRequest,
    checkpoint: &LoadedModel,
    limits: &RequestLimits,
) -> Result<Read, Status> {
    let mut violations = Violations::new();
    let routing_key = routing_key(&request.parameters, &mut violations);
    let outputs = outputs(&request.outputs, &mut violations);
    let raw = !request.raw_input_contents.is_empty();
    if request.inputs.len() != 1 {
        let count = request.inputs.len();
        let message = format!("must be one tensor, named {INPUT:?}, not {count}");
        violations.push("inputs", message);
        return Err(violations.into_status());
    }
    let input = request.inputs.remove(0);
    check_input(&input, &mut violations);
    let images = images(&input.shape, checkpoint, limits, &mut violations);
    if request.raw_input_contents.len() > 1 {
        let count = request.raw_input_contents.len();
        let message = format!("must hold the values of the one input, not of {count}");
        violations.push("raw_input_contents", message);
    }
    if let Some(images) = images {
        let label = checkpoint.manifest.labels.iter().map(String::len).max();
        let classes = checkpoint.network.classes();
        let bytes = images * (2 * 4 * classes + label.unwrap_or(0) + 8);
        if bytes > limits.max_answer_bytes {
            let most = limits.max_answer_bytes;
            let message = format!(
                "the answer would take about {bytes} bytes, more than {most}; send fewer images"
            );
            violations.push("inputs[0].shape", message);
        }
    }
    violations.into_result()?;
    let values = values(input, request.raw_input_contents.pop())?;
    let expected = images.unwrap_or(0) * checkpoint.network.inputs();
    values.check(expected)?;
    Ok(Read {
        id: request.id,
        routing_key,
        values,
        form: Form { outputs, raw },
    })
}

fn check_input(input: &InferInputTensor, violations: &mut Violations) {
    if input.name != INPUT {
        let name: String = input.name.chars().take(40).collect();
        let message = format!("must be {INPUT:?}, the model's input, not {name:?}");
        violations.push("inputs[0].name", message);
    }
    if !matches!(&*input.datatype, "UINT8" | "FP32") {
        let datatype: String = input.datatype.chars().take(40).collect();
        let message = format!(
            "must be \"UINT8\" for grey bytes or \"FP32\" for grey values from 0 to 1, not {datatype:?}"
        );
        violations.push("inputs[0].datatype", message);
    }
    check_parameters("inputs[0].parameters", &input.parameters, violations);
}

fn check_parameters(
    field: &str,
    parameters: &HashMap<String, InferParameter>,
    violations: &mut Violations,
) {
    for name in UNKNOWN
        .into_iter()
        .filter(|name| parameters.contains_key(*name))
    {
        violations.push(
            format!("{field}.{name}"),
            "is not supported by this server: leave it out",
        );
    }
}

/// Images of a shape: [n, height·width], [n, height, width] or [n, 1, height, width].
fn images(
    shape: &[i64],
    checkpoint: &LoadedModel,
    limits: &RequestLimits,
    violations: &mut Violations,
) -> Option<usize> {
    let input = checkpoint.manifest.input;
    let (height, width) = (input.height as i64, input.width as i64);
    let size = height * width;
    let count = match *shape {
        [n, pixels] if pixels == size => Some(n),
        [n, h, w] | [n, 1, h, w] if (h, w) == (height, width) => Some(n),
        _ => None,
    };
    let Some(count) = count else {
        let shape = &shape[..shape.len().min(8)];
        let message = format!(
            "must be [n, {size}], [n, {height}, {width}] or [n, 1, {height}, {width}], not {shape:?}"
        );
        violations.push("inputs[0].shape", message);
        return None;
    };
    let most = limits.max_images;
    match usize::try_from(count) {
        Ok(images @ 1..) if images <= most => Some(images),
        Ok(1..) => {
            let message =
                format!("{count} images are more than the {most} of one request; send several");
            violations.push("inputs[0].shape", message);
            None
        }
        Ok(0) | Err(_) => {
            let message = format!("must begin with the number of images, at least 1, not {count}");
            violations.push("inputs[0].shape", message);
            None
        }
    }
}

fn outputs(requested: &[InferRequestedOutputTensor], violations: &mut Violations) -> Vec<Output> {
    if requested.is_empty() {
        return Output::ALL.into();
    }
    let mut outputs: Vec<Output> = Vec::new();
    // As many as can be right, so that a hostile list costs nothing.
    for (index, one) in requested.iter().enumerate().take(Output::ALL.len() + 1) {
        let field = format!("outputs[{index}].name");
        match Output::ALL
            .into_iter()
            .find(|output| output.name() == one.name)
        {
            Some(output) if outputs.contains(&output) => {
                violations.push(field, format!("{:?} is asked for twice", one.name));
            }
            Some(output) => outputs.push(output),
            None => {
                let name: String = one.name.chars().take(40).collect();
                let message =
                    format!("must be \"logits\", \"probabilities\" or \"label\", not {name:?}");
                violations.push(field, message);
            }
        }
        let field = format!("outputs[{index}].parameters");
        check_parameters(&field, &one.parameters, violations);
    }
    outputs
}

fn routing_key(
    parameters: &HashMap<String, InferParameter>,
    violations: &mut Violations,
) -> String {
    let choice = parameters
        .get(ROUTING_KEY)
        .map(|parameter| &parameter.parameter_choice);
    match choice {
        None => String::new(),
        Some(Some(ParameterChoice::StringParam(key))) if key.len() <= MAX_KEY_BYTES => key.clone(),
        Some(_) => {
            let message = format!("must be a text of at most {MAX_KEY_BYTES} bytes");
            violations.push(format!("parameters.{ROUTING_KEY}"), message);
            String::new()
        }
    }
}

/// Takes the values out of the field that holds them.
fn values(input: InferInputTensor, raw: Option<Bytes>) -> Result<Values, Status> {
    let is_bytes = input.datatype == "UINT8";
    match (raw, input.contents) {
        (Some(raw), None) if is_bytes => Ok(Values::Bytes(raw)),
        (Some(raw), None) => Ok(Values::RawFloats(raw)),
        (Some(_), Some(_)) => Err(wrong(
            "inputs[0].contents",
            "must not be set beside raw_input_contents",
        )),
        (None, contents) => {
            let InferTensorContents {
                uint_contents,
                fp32_contents,
                ..
            } = contents.unwrap_or_default();
            Ok(if is_bytes {
                Values::Numbers(uint_contents)
            } else {
                Values::Floats(fp32_contents)
            })
        }
    }
}

impl Values {
    /// Whether there are as many as the shape says.
    fn check(&self, expected: usize) -> Result<(), Status> {
        let (got, expected, unit) = match self {
            Self::Bytes(raw) => (raw.len(), expected, "bytes"),
            Self::RawFloats(raw) => (raw.len(), expected * 4, "bytes"),
            Self::Numbers(numbers) => (numbers.len(), expected, "values in uint_contents"),
            Self::Floats(floats) => (floats.len(), expected, "values in fp32_contents"),
        };
        if got == expected {
            return Ok(());
        }
        let message = format!("its shape and type need {expected} {unit}, and there are {got}");
        Err(wrong("inputs[0]", message))
    }

    /// Whether they are converted in less than a moment.
    pub(super) fn is_quick(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::RawFloats(raw) => raw.len() <= 4 * QUICK,
            Self::Numbers(numbers) => numbers.len() <= QUICK,
            Self::Floats(floats) => floats.len() <= QUICK,
        }
    }

    /// The pixels. Floats stay floats: the network takes them as they are.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for a value that no pixel has.
    pub(super) fn into_pixels(self) -> Result<Pixels, Status> {
        let floats = match self {
            Self::Bytes(bytes) => return Ok(Pixels::Bytes(bytes)),
            Self::Numbers(numbers) => {
                let byte = |(index, &number): (usize, &u32)| {
                    u8::try_from(number).map_err(|_| {
                        let message = format!("value {index} must be from 0 to 255, not {number}");
                        wrong("inputs[0]", message)
                    })
                };
                let bytes: Result<Vec<u8>, Status> = numbers.iter().enumerate().map(byte).collect();
                return Ok(Pixels::Bytes(bytes?.into()));
            }
            Self::RawFloats(raw) => {
                let (floats, _) = raw.as_chunks::<4>();
                floats
                    .iter()
                    .map(|&bytes| f32::from_le_bytes(bytes))
                    .collect()
            }
            Self::Floats(floats) => floats,
        };
        match floats.iter().position(|value| !(0.0..=1.0).contains(value)) {
            None => Ok(Pixels::Floats(Arc::new(floats))),
            Some(index) => {
                let message = format!(
                    "value {index} must be from 0 to 1, as ToTensor gives it (divide grey bytes by 255, or send UINT8), not {}",
                    floats[index]
                );
                Err(wrong("inputs[0]", message))
            }
        }
    }
}

fn wrong(field: &str, message: impl Into<String>) -> Status {
    let mut violations = Violations::new();
    violations.push(field, message);
    violations.into_status()
}
