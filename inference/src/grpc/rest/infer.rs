//! Bodies of `infer`: JSON to a `ModelInferRequest`, and a `ModelInferResponse` to JSON.
//!
//! Tensors may follow the JSON as bytes; a header then has the length of the JSON (the protocol's
//! extension for binary data).

use super::{
    error::Failure,
    fields::{self, List, Parameter, Parameters},
    tensor::{Numbers, Values},
};
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use digits_proto::open_inference::{
    InferParameter, ModelInferRequest, ModelInferResponse,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Header with the length of the JSON in a body that has binary data after it.
const JSON_BYTES: HeaderName = HeaderName::from_static("inference-header-content-length");
/// Longest description of what is wrong with the JSON: serde_json's holds a string of the body
/// whole.
const MAX_ERROR_BYTES: usize = 1 << 10;
/// Parameter of a tensor: its length in the binary data.
const SIZE: &str = "binary_data_size";

#[derive(Deserialize)]
struct Document {
    #[serde(default, deserialize_with = "fields::or_default")]
    id: fields::Id,
    #[serde(default, deserialize_with = "fields::or_default")]
    parameters: Parameters,
    inputs: List<Input>,
    #[serde(default, deserialize_with = "fields::or_default")]
    outputs: List<Requested>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    shape: fields::Shape,
    datatype: String,
    #[serde(default, deserialize_with = "fields::or_default")]
    parameters: Parameters,
    data: Option<Numbers>,
}

#[derive(Deserialize)]
struct Requested {
    name: String,
    #[serde(default, deserialize_with = "fields::or_default")]
    parameters: Parameters,
}

/// The outputs that are binary.
#[derive(Default)]
pub(super) struct ResponseOptions {
    /// Outputs with a choice of their own, by name.
    binary: HashMap<String, bool>,
    /// The choice for the others.
    binary_by_default: bool,
}

/// Length of the JSON, if a header has it.
pub(super) fn json_bytes(headers: &HeaderMap) -> Result<Option<usize>, Failure> {
    let Some(value) = headers.get(JSON_BYTES) else {
        return Ok(None);
    };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || Failure::field(JSON_BYTES, "must be a number of bytes");
    Ok(Some(length.ok_or_else(wrong)?))
}

/// Parses a body; model and version are in the path.
pub(super) fn decode(
    mut body: Bytes,
    json_bytes: Option<usize>,
) -> Result<(ModelInferRequest, ResponseOptions), Failure> {
    let length = json_bytes.unwrap_or(body.len());
    if length > body.len() {
        let message = format!("{length} is more than the {} bytes of the body", body.len());
        return Err(Failure::field(JSON_BYTES, message));
    }
    let mut binary = body.split_off(length);
    let document: Document = serde_json::from_slice(&body).map_err(|error| {
        let mut message = format!("the body is not a valid request: {error}");
        message.truncate(message.floor_char_boundary(MAX_ERROR_BYTES));
        Failure::new(StatusCode::BAD_REQUEST, message)
    })?;
    let options = ResponseOptions {
        binary: document
            .outputs
            .0
            .iter()
            .filter_map(binary_output)
            .collect(),
        binary_by_default: document.parameters.get("binary_data_output")
            == Some(&Parameter::Bool(true)),
    };
    let mut request = ModelInferRequest {
        id: document.id.0,
        parameters: parameters("parameters", document.parameters)?,
        ..ModelInferRequest::default()
    };
    for (index, input) in document.inputs.0.into_iter().enumerate() {
        let field = format!("inputs[{index}]");
        let (raw, datatype) = raw(
            &field,
            &input.parameters,
            input.data,
            input.datatype,
            &mut binary,
        )?;
        request.raw_input_contents.push(raw);
        request.inputs.push(InferInputTensor {
            name: input.name,
            datatype,
            shape: input.shape.0,
            parameters: parameters(&format!("{field}.parameters"), input.parameters)?,
            contents: None,
        });
    }
    if !binary.is_empty() {
        let message = format!("{} bytes after the JSON belong to no input", binary.len());
        return Err(Failure::field("inputs", message));
    }
    for (index, output) in document.outputs.0.into_iter().enumerate() {
        let field = format!("outputs[{index}].parameters");
        request.outputs.push(InferRequestedOutputTensor {
            name: output.name,
            parameters: parameters(&field, output.parameters)?,
        });
    }
    Ok((request, options))
}

fn binary_output(output: &Requested) -> Option<(String, bool)> {
    match output.parameters.get("binary_data")? {
        Parameter::Bool(binary) => Some((output.name.clone(), *binary)),
        _ => None,
    }
}

/// Raw values of an input with their type, from its numbers or from the binary data.
fn raw(
    field: &str,
    parameters: &Parameters,
    data: Option<Numbers>,
    datatype: String,
    binary: &mut Bytes,
) -> Result<(Bytes, String), Failure> {
    let size = parameters
        .get(SIZE)
        .filter(|&size| *size != Parameter::Null);
    match (data, size) {
        (Some(numbers), None) => numbers.raw(&format!("{field}.data"), datatype),
        (None, Some(size)) => {
            let field = format!("{field}.parameters.{SIZE}");
            let size = match *size {
                Parameter::Integer(size) => usize::try_from(size).ok(),
                _ => None,
            };
            let size = size.ok_or_else(|| Failure::field(&field, "must be a number of bytes"))?;
            if size > binary.len() {
                let left = binary.len();
                let message =
                    format!("{size} is more than the {left} bytes that are left after the JSON");
                return Err(Failure::field(&field, message));
            }
            Ok((binary.split_to(size), datatype))
        }
        (None, None) => Err(Failure::field(
            format!("{field}.data"),
            format!("must be set, or {SIZE} in its parameters"),
        )),
        (Some(_), Some(_)) => Err(Failure::field(
            format!("{field}.data"),
            format!("must not be set together with {SIZE}"),
        )),
    }
}

fn parameters(
    field: &str,
    parameters: Parameters,
) -> Result<HashMap<String, InferParameter>, Failure> {
    let parameter = |(name, value): (String, Parameter)| {
        let choice = match value {
            Parameter::Null => return None,
            Parameter::Bool(value) => ParameterChoice::BoolParam(value),
            Parameter::Text(value) => ParameterChoice::StringParam(value),
            Parameter::Integer(value) => ParameterChoice::Int64Param(value),
            Parameter::Number(value) => ParameterChoice::DoubleParam(value),
            Parameter::Nested => {
                let name: String = name.chars().take(40).collect();
                let message = "must be a boolean, a number or a string";
                return Some(Err(Failure::field(format!("{field}.{name}"), message)));
            }
        };
        let parameter = InferParameter {
            parameter_choice: Some(choice),
        };
        Some(Ok((name, parameter)))
    };
    parameters.0.into_iter().filter_map(parameter).collect()
}

#[derive(Serialize)]
struct ResponseBody {
    model_name: String,
    model_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    parameters: Map<String, Value>,
    outputs: Vec<Output>,
}

#[derive(Serialize)]
struct Output {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    parameters: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Values>,
}

/// Encodes a response.
pub(super) fn encode(
    response: ModelInferResponse,
    options: &ResponseOptions,
) -> Result<Response, Failure> {
    let text = |parameter: InferParameter| match parameter.parameter_choice {
        Some(ParameterChoice::StringParam(text)) => Value::String(text),
        _ => Value::Null,
    };
    let parameters = response.parameters.into_iter();
    let mut document = ResponseBody {
        model_name: response.model_name,
        model_version: response.model_version,
        id: response.id,
        parameters: parameters
            .map(|(name, value)| (name, text(value)))
            .collect(),
        outputs: Vec::new(),
    };
    let mut binary: Vec<u8> = Vec::new();
    for (tensor, raw) in response
        .outputs
        .into_iter()
        .zip(response.raw_output_contents)
    {
        let is_binary = options
            .binary
            .get(&tensor.name)
            .copied()
            .unwrap_or(options.binary_by_default);
        let (data, parameters) = if is_binary {
            binary.extend_from_slice(&raw);
            (None, Map::from_iter([(SIZE.to_owned(), raw.len().into())]))
        } else {
            let values = Values::of(&tensor.datatype, &raw).ok_or_else(Failure::internal)?;
            (Some(values), Map::new())
        };
        document.outputs.push(Output {
            name: tensor.name,
            datatype: tensor.datatype,
            shape: tensor.shape,
            parameters,
            data,
        });
    }
    let mut body = serde_json::to_vec(&document).map_err(|_| Failure::internal())?;
    if binary.is_empty() {
        body.push(b'\n');
        return Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response());
    }
    let length = HeaderValue::from(body.len());
    body.extend(binary);
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(([(JSON_BYTES, length), (header::CONTENT_TYPE, kind)], body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::HttpBody as _;

    #[test]
    fn an_error_does_not_hold_a_long_string_of_the_body() {
        let long = "\u{7f}".repeat(1 << 20);
        for body in [format!("\"{long}\""), format!(r#"{{"inputs": "{long}"}}"#)] {
            let failure = decode(body.into(), None).err().expect("no request");
            let response = failure.into_response();
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
            let bytes = response.body().size_hint().upper();
            assert!(bytes.is_some_and(|bytes| bytes < 2_500), "{bytes:?}");
        }
    }
}
