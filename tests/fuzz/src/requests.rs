//! Requests to the inference service over gRPC, gRPC-Web, Connect and REST.

use crate::{
    call,
    generate::{self, methods},
    service::Service,
};
use arbitrary::Unstructured;
use digits_proto::open_inference::{ModelInferRequest, model_infer_request::InferInputTensor};
use prost_reflect::{MethodDescriptor, prost::Message as _};
use std::{io::ErrorKind, sync::LazyLock};
use ureq::{Agent, Body, RequestBuilder, http::Response, typestate::WithBody};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const DATATYPES: [&str; 8] = [
    "UINT8", "FP32", "FP64", "INT64", "BOOL", "BYTES", "FP16", "?",
];
const NAMES: [&str; 4] = ["pixels", "pictures", "", "other"];

static METHODS: LazyLock<Vec<MethodDescriptor>> = LazyLock::new(|| {
    methods(&[
        "digits.v1.InferenceService",
        "inference.GRPCInferenceService",
    ])
});

static AGENT: LazyLock<Agent> = LazyLock::new(|| {
    let config = Agent::config_builder().http_status_as_error(false);
    config.build().into()
});

/// Sends a body and reads the answer; again where a signal of libFuzzer's clock interrupted it.
fn exchange(
    request: impl Fn() -> RequestBuilder<WithBody>,
    body: &[u8],
) -> (Response<Body>, Vec<u8>) {
    let once = || -> Result<_, ureq::Error> {
        let mut answer = request().send(body)?;
        let body = answer.body_mut().read_to_vec()?;
        Ok((answer, body))
    };
    loop {
        match once() {
            Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
            answer => return answer.expect("a whole answer"),
        }
    }
}

/// Every request message through its handler.
pub fn inference_requests(data: &[u8]) {
    let (method, messages) = generate::call(&METHODS, data);
    let service = Service::get();
    let path = generate::path(method);
    let call = call::call(service.channel.clone(), &path, messages);
    service.runtime.block_on(call);
}

/// Tensors of the Open Inference Protocol in their binary form.
pub fn oip_tensors(data: &[u8]) {
    let Ok(request) = tensors(&mut Unstructured::new(data)) else {
        return;
    };
    let service = Service::get();
    let call = call::call(
        service.channel.clone(),
        INFER,
        vec![request.encode_to_vec()],
    );
    service.runtime.block_on(call);
}

fn tensors(source: &mut Unstructured<'_>) -> arbitrary::Result<ModelInferRequest> {
    let mut request = ModelInferRequest {
        model_name: "digits".to_owned(),
        ..ModelInferRequest::default()
    };
    for _ in 0..source.int_in_range(1..=2)? {
        let rank = source.int_in_range(0..=4)?;
        let shape = (0..rank).map(|_| {
            Ok(match source.int_in_range(0..=4)? {
                0 => source.arbitrary::<i64>()?,
                1 => 28,
                2 => 784,
                3 => i64::from(source.arbitrary::<i8>()?),
                _ => 1,
            })
        });
        request.inputs.push(InferInputTensor {
            shape: shape.collect::<arbitrary::Result<_>>()?,
            name: (*source.choose(&NAMES)?).to_owned(),
            datatype: (*source.choose(&DATATYPES)?).to_owned(),
            ..InferInputTensor::default()
        });
    }
    for _ in 0..source.int_in_range(0..=2)? {
        let length = source.int_in_range(0..=4_096)?;
        let mut raw = source.bytes(source.len().min(length))?.to_vec();
        raw.resize(length, 0);
        request.raw_input_contents.push(raw.into());
    }
    Ok(request)
}

/// A body in JSON, the first byte of the input aside: how much of it is JSON, if tensors follow.
pub fn rest_json(data: &[u8]) {
    let Some((&binary, body)) = data.split_first() else {
        return;
    };
    let service = Service::get();
    let url = format!("http://{}/v2/models/digits/infer", service.address);
    let request = || match binary {
        0 => AGENT.post(&url),
        _ => {
            let length = body.len().saturating_sub(usize::from(binary));
            let length = length.to_string();
            AGENT
                .post(&url)
                .header("Inference-Header-Content-Length", length)
        }
    };
    let (answer, _) = exchange(request, body);
    assert!(answer.status() != 500, "{answer:?}");
}

/// A body of the Connect protocol: a message, or messages with their heads, in JSON or protobuf.
pub fn connect(data: &[u8]) {
    let Some((&form, body)) = data.split_first() else {
        return;
    };
    let service = Service::get();
    let method = &METHODS[usize::from(form / 4) % METHODS.len()];
    let url = format!("http://{}{}", service.address, generate::path(method));
    let kinds = [
        "application/json",
        "application/proto",
        "application/connect+json",
        "application/connect+proto",
    ];
    let kind = kinds[usize::from(form % 4)];
    let request = || AGENT.post(&url).header("Content-Type", kind);
    let (answer, body) = exchange(request, body);
    assert!(answer.status() != 500, "{answer:?}");
    let body = String::from_utf8_lossy(&body);
    for code in ["internal", "unknown"] {
        let error = format!("{{\"error\":{{\"code\":\"{code}\"");
        assert!(!body.contains(&error), "{body}");
    }
}

/// A body of gRPC-Web: frames, as they are or in base64.
pub fn grpc_web(data: &[u8]) {
    let Some((&form, body)) = data.split_first() else {
        return;
    };
    let service = Service::get();
    let method = &METHODS[usize::from(form / 2) % METHODS.len()];
    let url = format!("http://{}{}", service.address, generate::path(method));
    let kind = ["application/grpc-web+proto", "application/grpc-web-text"];
    let request = || {
        AGENT
            .post(&url)
            .header("Content-Type", kind[usize::from(form % 2)])
            .header("X-Grpc-Web", "1")
    };
    let (answer, body) = exchange(request, body);
    let header = answer.headers().get("grpc-status");
    let mut status = header.map(|status| status.as_bytes().to_vec());
    // Else in the trailers, the last frame.
    let name = b"grpc-status:";
    if let Some(at) = body.windows(name.len()).position(|part| part == name) {
        let digits = body[at + name.len()..].iter().filter(|byte| **byte != b' ');
        status = Some(
            digits
                .take_while(|byte| byte.is_ascii_digit())
                .copied()
                .collect(),
        );
    }
    let status = status.map(|status| String::from_utf8_lossy(&status).into_owned());
    assert!(answer.status() != 500, "{answer:?}");
    assert!(
        !matches!(status.as_deref(), Some("2" | "13" | "15")),
        "{answer:?} {status:?}"
    );
}
