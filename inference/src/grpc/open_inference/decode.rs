//! Decodes a `ModelInferRequest`: one tensor, raw or typed, checked against the checkpoint and the
//! limits.

use super::outputs::{INPUT, Output, ResponseOptions};
use crate::{
    grpc::status::invalid_field,
    model::LoadedModel,
    predict::{
        ElementType, InputImages, PredictInput, RequestLimits, TensorValues, route::MAX_KEY_BYTES,
    },
};
use bytes::Bytes;
use digits_proto::open_inference::{
    InferParameter, InferTensorContents, ModelInferRequest,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};
use digits_server::violations::Violations;
use std::collections::HashMap;
use tonic::Status;

/// Parameter of the request: requests of one key go to the same route.
const ROUTING_KEY: &str = "routing_key";
/// Parameters of the protocol's extensions that would change the response and are not supported.
const UNSUPPORTED: [&str; 2] = ["shared_memory_region", "classification"];
/// Characters of a client's text that are repeated in an error.
const MAX_TEXT_CHARS: usize = 40;

/// A decoded request.
pub(super) struct Decoded {
    pub(super) id: String,
    pub(super) input: PredictInput,
    pub(super) options: ResponseOptions,
}

/// Decodes a request. All routes of a snapshot take the same images, so any of its checkpoints
/// does.
///
/// # Errors
///
/// INVALID_ARGUMENT with every violation.
pub(super) fn decode(
    mut request: ModelInferRequest,
    checkpoint: &LoadedModel,
    limits: &RequestLimits,
) -> Result<Decoded, Status> {
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
    let element = check_input(&input, &mut violations);
    let images = images(&input.shape, checkpoint, limits, &mut violations);
    if request.raw_input_contents.len() > 1 {
        let count = request.raw_input_contents.len();
        let message = format!("must hold the values of the one input, not of {count}");
        violations.push("raw_input_contents", message);
    }
    if let Some(images) = images {
        check_response((images, &outputs), checkpoint, limits, &mut violations);
    }
    violations.into_result()?;
    let images = input_images(
        input.contents,
        request.raw_input_contents.pop(),
        // Known, or there were violations.
        element.unwrap_or(ElementType::Uint8),
        images.unwrap_or(0) * checkpoint.network.inputs(),
    )?;
    Ok(Decoded {
        id: request.id,
        input: PredictInput {
            images,
            routing_key,
            min_probability: 0.0,
        },
        options: ResponseOptions { outputs, raw },
    })
}

fn check_response(
    (images, outputs): (usize, &[Output]),
    checkpoint: &LoadedModel,
    limits: &RequestLimits,
    violations: &mut Violations,
) {
    let label = checkpoint.manifest.labels.iter().map(String::len).max();
    let classes = checkpoint.network.classes();
    let texts = 1 + usize::from(outputs.contains(&Output::Text));
    let bytes = images * (2 * 4 * classes + texts * (label.unwrap_or(0) + 8));
    let max = limits.max_response_bytes;
    if bytes > max {
        let message = format!(
            "the response would take about {bytes} bytes, more than {max}; send fewer images"
        );
        violations.push("inputs[0].shape", message);
    }
}

fn check_input(input: &InferInputTensor, violations: &mut Violations) -> Option<ElementType> {
    if input.name != INPUT {
        let name: String = input.name.chars().take(MAX_TEXT_CHARS).collect();
        let message = format!("must be {INPUT:?}, the model's input, not {name:?}");
        violations.push("inputs[0].name", message);
    }
    let element = element_type(&input.datatype);
    if element.is_none() {
        let datatype: String = input.datatype.chars().take(MAX_TEXT_CHARS).collect();
        let message = format!(
            "must be \"UINT8\" or another integer type for grey values from 0 to 255, or \"FP32\" or another float type for grey values from 0 to 1, not {datatype:?}"
        );
        violations.push("inputs[0].datatype", message);
    }
    check_parameters("inputs[0].parameters", &input.parameters, violations);
    element
}

/// The numeric type of a name of the protocol.
fn element_type(name: &str) -> Option<ElementType> {
    Some(match name {
        "UINT8" => ElementType::Uint8,
        "UINT16" => ElementType::Uint16,
        "UINT32" => ElementType::Uint32,
        "UINT64" => ElementType::Uint64,
        "INT8" => ElementType::Int8,
        "INT16" => ElementType::Int16,
        "INT32" => ElementType::Int32,
        "INT64" => ElementType::Int64,
        "FP16" => ElementType::Fp16,
        "BF16" => ElementType::Bf16,
        "FP32" => ElementType::Fp32,
        "FP64" => ElementType::Fp64,
        _ => return None,
    })
}

fn check_parameters(
    field: &str,
    parameters: &HashMap<String, InferParameter>,
    violations: &mut Violations,
) {
    for name in UNSUPPORTED
        .into_iter()
        .filter(|name| parameters.contains_key(*name))
    {
        violations.push(
            format!("{field}.{name}"),
            "is not supported by this server: leave it out",
        );
    }
}

/// Number of images of a shape: [n, height·width], [n, height, width] or [n, 1, height, width].
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
    let max = limits.max_images;
    match usize::try_from(count) {
        Ok(images @ 1..) if images <= max => Some(images),
        Ok(1..) => {
            let message =
                format!("{count} images are more than the {max} of one request; send several");
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
        return Output::DEFAULT.into();
    }
    let mut outputs: Vec<Output> = Vec::new();
    // No more than can be valid, so that a hostile list costs nothing.
    for (index, one) in requested.iter().enumerate().take(Output::ALL.len() + 1) {
        let field = format!("outputs[{index}].name");
        match Output::ALL
            .into_iter()
            .find(|output| output.name() == one.name)
        {
            Some(output) if outputs.contains(&output) => {
                violations.push(field, format!("{:?} is requested twice", one.name));
            }
            Some(output) => outputs.push(output),
            None => {
                let name: String = one.name.chars().take(MAX_TEXT_CHARS).collect();
                let message = format!(
                    "must be \"logits\", \"probabilities\", \"label\" or \"text\", not {name:?}"
                );
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

/// The values, from the field that holds them; there must be `count`.
fn input_images(
    contents: Option<InferTensorContents>,
    raw: Option<Bytes>,
    element: ElementType,
    count: usize,
) -> Result<InputImages, Status> {
    match (raw, contents) {
        (Some(_), Some(_)) => Err(invalid_field(
            "inputs[0].contents",
            "must not be set together with raw_input_contents",
        )),
        (Some(raw), None) => {
            check_count(raw.len(), count * element.size(), "bytes")?;
            Ok(match element {
                ElementType::Uint8 => InputImages::Pixels(raw),
                _ => InputImages::Tensor(TensorValues::Raw(element, raw)),
            })
        }
        (None, contents) => {
            let values = typed(contents.unwrap_or_default(), element, count)?;
            Ok(InputImages::Tensor(values))
        }
    }
}

/// The values of the field for the type.
fn typed(
    contents: InferTensorContents,
    element: ElementType,
    count: usize,
) -> Result<TensorValues, Status> {
    use ElementType as Type;
    let (values, got, field) = match element {
        Type::Uint8 | Type::Uint16 | Type::Uint32 => {
            let values = contents.uint_contents;
            let got = values.len();
            (TensorValues::Unsigned(values), got, "uint_contents")
        }
        Type::Int8 | Type::Int16 | Type::Int32 => {
            let values = contents.int_contents;
            let got = values.len();
            (TensorValues::Signed(values), got, "int_contents")
        }
        Type::Uint64 => {
            let values = contents.uint64_contents;
            let got = values.len();
            (TensorValues::UnsignedLong(values), got, "uint64_contents")
        }
        Type::Int64 => {
            let values = contents.int64_contents;
            let got = values.len();
            (TensorValues::SignedLong(values), got, "int64_contents")
        }
        Type::Fp32 => {
            let values = contents.fp32_contents;
            let got = values.len();
            (TensorValues::Floats(values), got, "fp32_contents")
        }
        Type::Fp64 => {
            let values = contents.fp64_contents;
            let got = values.len();
            (TensorValues::Doubles(values), got, "fp64_contents")
        }
        Type::Fp16 | Type::Bf16 => {
            return Err(invalid_field(
                "inputs[0].contents",
                "has no field for FP16 and BF16: send their values in raw_input_contents",
            ));
        }
    };
    check_count(got, count, &format!("values in {field}"))?;
    Ok(values)
}

fn check_count(got: usize, expected: usize, unit: &str) -> Result<(), Status> {
    if got == expected {
        return Ok(());
    }
    let message = format!("its shape and type need {expected} {unit}, and there are {got}");
    Err(invalid_field("inputs[0]", message))
}
