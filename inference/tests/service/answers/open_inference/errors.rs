//! Refused requests, and their errors.

use super::{little_endian, open, raw, scaled, typed};
use crate::support::{PIXELS, Setup, image, setup};
use digits_proto::open_inference::infer_parameter::ParameterChoice;
use digits_proto::open_inference::{InferParameter, InferTensorContents, ModelInferRequest};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_name_the_field() {
    let Setup { service, .. } = setup("digits", &["--max-images", "20"]).await;
    let mut open = open(&service).await;
    let good = || raw("UINT8", &[1, 784], image(1));
    let with = |change: fn(&mut ModelInferRequest)| {
        let mut request = good();
        change(&mut request);
        request
    };
    let one = |value: f32| {
        let mut values = scaled(&image(1));
        values[17] = value;
        raw("FP32", &[1, 784], little_endian(&values))
    };
    let text = |text: &str| InferParameter {
        parameter_choice: Some(ParameterChoice::StringParam(text.into())),
    };
    let mut region = good();
    region.inputs[0].parameters = [("shared_memory_region".into(), text("r"))].into();
    let mut key = good();
    key.parameters = [("routing_key".into(), text(&"k".repeat(300)))].into();
    let cases: Vec<(ModelInferRequest, &str, &str)> = vec![
        (with(|it| it.inputs.clear()), "inputs", "one tensor"),
        (
            with(|it| it.inputs.push(it.inputs[0].clone())),
            "inputs",
            "not 2",
        ),
        (
            with(|it| it.inputs[0].name = "x".into()),
            "inputs[0].name",
            "\"pixels\"",
        ),
        (
            raw("BOOL", &[1, 784], vec![0; 784]),
            "inputs[0].datatype",
            "UINT8",
        ),
        (
            raw("UINT8", &[1, 783], vec![0; 783]),
            "inputs[0].shape",
            "[n, 784], [n, 28, 28] or [n, 1, 28, 28]",
        ),
        (
            raw("UINT8", &[784], image(1)),
            "inputs[0].shape",
            "not [784]",
        ),
        (
            raw("UINT8", &[1, 2, 28, 28], vec![0; 2 * 784]),
            "inputs[0].shape",
            "not [1, 2, 28, 28]",
        ),
        (
            raw("UINT8", &[0, 784], vec![]),
            "inputs[0].shape",
            "at least 1",
        ),
        (
            raw("UINT8", &[-1, 784], vec![]),
            "inputs[0].shape",
            "not -1",
        ),
        (
            raw("UINT8", &[i64::MAX, 784], vec![]),
            "inputs[0].shape",
            "more than the 20",
        ),
        (
            raw("UINT8", &[21, 784], vec![0; 21 * PIXELS]),
            "inputs[0].shape",
            "21 images are more than the 20",
        ),
        (
            raw("UINT8", &[1, 784], vec![0; 783]),
            "inputs[0]",
            "need 784 bytes, and there are 783",
        ),
        (
            raw("FP32", &[1, 784], vec![0; 784]),
            "inputs[0]",
            "need 3136 bytes",
        ),
        (
            typed("UINT8", &[1, 784], InferTensorContents::default()),
            "inputs[0]",
            "784 values in uint_contents, and there are 0",
        ),
        (
            typed(
                "FP32",
                &[1, 784],
                InferTensorContents {
                    fp64_contents: vec![0.0; 784],
                    ..Default::default()
                },
            ),
            "inputs[0]",
            "fp32_contents",
        ),
        (
            typed(
                "UINT8",
                &[1, 784],
                InferTensorContents {
                    uint_contents: vec![256; 784],
                    ..Default::default()
                },
            ),
            "inputs[0]",
            "value 0 must be from 0 to 255, not 256",
        ),
        (one(1.5), "inputs[0]", "value 17 must be from 0 to 1"),
        (one(f32::NAN), "inputs[0]", "divide grey bytes by 255"),
        (one(-0.1), "inputs[0]", "not -0.1"),
        (
            with(|it| it.inputs[0].contents = Some(InferTensorContents::default())),
            "inputs[0].contents",
            "raw_input_contents",
        ),
        (
            with(|it| it.raw_input_contents.push(vec![].into())),
            "raw_input_contents",
            "not of 2",
        ),
        (
            region,
            "inputs[0].parameters.shared_memory_region",
            "not supported",
        ),
        (key, "parameters.routing_key", "256"),
    ];
    for (request, field, message) in cases {
        let status = open.model_infer(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
        assert!(
            status.message().contains(message),
            "{field}: {}",
            status.message()
        );
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, field, "{}", status.message());
    }
    let mut letters = good();
    letters.model_name = "letters".into();
    let status = open.model_infer(letters).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(
        status.message().starts_with("model_name"),
        "{}",
        status.message()
    );
    let mut late = Request::new(good());
    late.metadata_mut()
        .insert("grpc-timeout", "0n".parse().unwrap());
    let status = open.model_infer(late).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status:?}"
    );
    open.model_infer(good()).await.unwrap();
    service.end().await;
}

/// Two bytes each, which took 150 times as much once they were decoded.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_very_many_tiny_values_is_refused_undecoded() {
    let Setup { service, .. } = setup("digits", &[]).await;
    let mut open = open(&service).await;
    let mut request = raw("UINT8", &[1, 784], image(1));
    request.inputs.resize_with(100_001, Default::default);
    let status = open.model_infer(request).await.expect_err("too many");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().contains("more than 100000 messages"),
        "{status:?}"
    );
    service.end().await;
}
