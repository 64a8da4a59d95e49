//! The Open Inference Protocol over gRPC, by its own generated client. `tests/python/open_inference.py` asks the same of Triton's.

use crate::support::{Net, PIXELS, Service, Setup, Store, image, pixels, setup};
use digits_proto::open_inference::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
    ModelMetadataRequest, ModelReadyRequest, ServerLiveRequest, ServerMetadataRequest,
    ServerReadyRequest,
    grpc_inference_service_client::GrpcInferenceServiceClient,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};
use digits_proto::v1::PredictRequest;
use tonic::{Code, Request, transport::Channel};
use tonic_types::StatusExt as _;

type Open = GrpcInferenceServiceClient<Channel>;

async fn open(service: &Service) -> Open {
    GrpcInferenceServiceClient::new(service.channel().await).max_decoding_message_size(64 << 20)
}

fn tensor(datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: "pixels".into(),
        datatype: datatype.into(),
        shape: shape.into(),
        ..InferInputTensor::default()
    }
}

fn raw(datatype: &str, shape: &[i64], bytes: Vec<u8>) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "digits".into(),
        id: "id-1".into(),
        inputs: vec![tensor(datatype, shape)],
        raw_input_contents: vec![bytes.into()],
        ..ModelInferRequest::default()
    }
}

fn typed(datatype: &str, shape: &[i64], contents: InferTensorContents) -> ModelInferRequest {
    let mut request = raw(datatype, shape, Vec::new());
    request.raw_input_contents.clear();
    request.inputs[0].contents = Some(contents);
    request
}

fn scaled(bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|&x| f32::from(x) / 255.0).collect()
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn floats(raw: &[u8]) -> Vec<f32> {
    raw.as_chunks::<4>()
        .0
        .iter()
        .map(|&x| f32::from_le_bytes(x))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_the_input_has_the_answers_of_predict() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &[]).await;
    let mut open = open(&service).await;
    for count in [1_i64, 3, 20] {
        let bytes: Vec<u8> = (0..count as u64).flat_map(image).collect();
        let request = PredictRequest {
            want_logits: true,
            ..pixels("", bytes.clone())
        };
        let expected = client.predict(request).await.unwrap().into_inner();
        let logits: Vec<f32> = expected
            .predictions
            .iter()
            .flat_map(|it| it.logits.clone())
            .collect();
        let probabilities: Vec<f32> = expected
            .predictions
            .iter()
            .flat_map(|it| it.probabilities.clone())
            .collect();
        let labels: Vec<Vec<u8>> = expected
            .predictions
            .iter()
            .map(|it| it.label.clone().into_bytes())
            .collect();
        let check = |answer: &ModelInferResponse, form: &str| {
            let shapes: Vec<_> = answer
                .outputs
                .iter()
                .map(|it| (&*it.name, &*it.datatype, &*it.shape))
                .collect();
            let two = [count, 10];
            let one = [count];
            assert_eq!(
                shapes,
                [
                    ("logits", "FP32", &two[..]),
                    ("probabilities", "FP32", &two[..]),
                    ("label", "BYTES", &one[..])
                ],
                "{form}"
            );
            assert_eq!(
                (&*answer.model_name, &*answer.model_version, &*answer.id),
                ("digits", "1", "id-1")
            );
            let served = expected.served_by.as_ref().unwrap();
            for (name, value) in [
                ("checkpoint_id", &*served.checkpoint_id),
                ("role", "primary"),
            ] {
                let choice = ParameterChoice::StringParam(value.into());
                assert_eq!(
                    answer.parameters[name].parameter_choice,
                    Some(choice),
                    "{form}"
                );
            }
        };
        // Floats go through the network as they are: the bits are those of the bytes.
        let shapes: [&[i64]; 3] = [&[count, 784], &[count, 28, 28], &[count, 1, 28, 28]];
        for shape in shapes {
            for (datatype, values) in [
                ("UINT8", bytes.clone()),
                ("FP32", little_endian(&scaled(&bytes))),
            ] {
                let answer = open
                    .model_infer(raw(datatype, shape, values))
                    .await
                    .unwrap()
                    .into_inner();
                let form = format!("raw {datatype} {shape:?}");
                check(&answer, &form);
                assert_eq!(answer.raw_output_contents.len(), 3, "{form}");
                assert_eq!(floats(&answer.raw_output_contents[0]), logits, "{form}");
                assert_eq!(
                    floats(&answer.raw_output_contents[1]),
                    probabilities,
                    "{form}"
                );
                let texts: Vec<u8> = labels
                    .iter()
                    .flat_map(|label| [&[label.len() as u8, 0, 0, 0], &label[..]].concat())
                    .collect();
                assert_eq!(answer.raw_output_contents[2], texts, "{form}");
                assert!(answer.outputs.iter().all(|it| it.contents.is_none()));
            }
            let numbers = InferTensorContents {
                uint_contents: bytes.iter().map(|&x| x.into()).collect(),
                ..InferTensorContents::default()
            };
            let values = InferTensorContents {
                fp32_contents: scaled(&bytes),
                ..InferTensorContents::default()
            };
            for (datatype, contents) in [("UINT8", numbers), ("FP32", values)] {
                let answer = open
                    .model_infer(typed(datatype, shape, contents))
                    .await
                    .unwrap()
                    .into_inner();
                check(&answer, "typed");
                assert!(answer.raw_output_contents.is_empty());
                let contents: Vec<_> = answer
                    .outputs
                    .into_iter()
                    .map(|it| it.contents.unwrap())
                    .collect();
                assert_eq!(contents[0].fp32_contents, logits, "typed {datatype}");
                assert_eq!(contents[1].fp32_contents, probabilities);
                assert_eq!(contents[2].bytes_contents, labels);
            }
        }
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floats_between_bytes_are_not_rounded() {
    let Setup { net, service, .. } = setup("digits", &[]).await;
    let mut open = open(&service).await;
    // Half a grey step off every pixel: rounding would answer as to `image`, or as to its neighbour.
    for count in [1, 9] {
        let values: Vec<f32> = image(3)
            .iter()
            .map(|&x| (f32::from(x) * 0.5 + 0.25) / 255.0)
            .collect();
        let request = raw(
            "FP32",
            &[count, 784],
            little_endian(&values.repeat(count as usize)),
        );
        let answer = open.model_infer(request).await.unwrap().into_inner();
        let layer = |inputs: &[f64], index: usize| -> Vec<f64> {
            let layer = &net.layers[index];
            let rows = layer.weight.chunks_exact(layer.inputs).zip(&layer.bias);
            rows.map(|(row, &bias)| {
                row.iter()
                    .zip(inputs)
                    .map(|(&w, x)| f64::from(w) * x)
                    .sum::<f64>()
                    + f64::from(bias)
            })
            .collect()
        };
        let scaled: Vec<f64> = values
            .iter()
            .map(|&x| (f64::from(x) - f64::from(net.input.mean)) / f64::from(net.input.std))
            .collect();
        let hidden: Vec<f64> = layer(&scaled, 0).into_iter().map(|x| x.max(0.0)).collect();
        let expected = layer(&hidden, 1);
        let rounded: Vec<u8> = values.iter().map(|x| (x * 255.0).round() as u8).collect();
        let got = floats(&answer.raw_output_contents[0]);
        let apart = |a: &[f64]| {
            got.iter()
                .zip(a)
                .map(|(&g, a)| (f64::from(g) - a).abs())
                .fold(0.0, f64::max)
        };
        let rounded: Vec<f64> = net.logits(&rounded).into_iter().map(f64::from).collect();
        assert!(apart(&expected) < 1e-5, "{got:?} for {expected:?}");
        assert!(
            apart(&rounded) > 1e-4,
            "cannot tell the two apart: {got:?}, {rounded:?}"
        );
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_metadata_and_versions() {
    let store = Store::new();
    let service = Service::start(&store, "digits,other", &["--poll-interval", "10ms"]).await;
    let mut open = open(&service).await;
    let model_ready = |name: &str, version: &str| ModelReadyRequest {
        name: name.into(),
        version: version.into(),
    };
    assert!(
        open.server_live(ServerLiveRequest {})
            .await
            .unwrap()
            .into_inner()
            .live
    );
    assert!(
        !open
            .server_ready(ServerReadyRequest {})
            .await
            .unwrap()
            .into_inner()
            .ready
    );
    assert!(
        !open
            .model_ready(model_ready("digits", ""))
            .await
            .unwrap()
            .into_inner()
            .ready
    );
    let early = raw("UINT8", &[1, 784], image(1));
    assert_eq!(
        open.model_infer(early.clone()).await.unwrap_err().code(),
        Code::Unavailable
    );

    let net = Net::favouring(3, 1);
    store.serve("digits", 1, &net).await;
    store.serve("digits", 2, &net).await;
    service.serves("digits", 2).await;
    assert!(
        !open
            .server_ready(ServerReadyRequest {})
            .await
            .unwrap()
            .into_inner()
            .ready
    );
    store.serve("other", 1, &net).await;
    service.serves("other", 1).await;
    assert!(
        open.server_ready(ServerReadyRequest {})
            .await
            .unwrap()
            .into_inner()
            .ready
    );
    for (version, ready) in [
        ("", true),
        ("2", true),
        ("1", false),
        ("3", false),
        ("x", false),
    ] {
        let answer = open
            .model_ready(model_ready("digits", version))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.ready, ready, "{version:?}");
        let mut request = early.clone();
        request.model_version = version.into();
        let answer = open.model_infer(request).await;
        let metadata = open
            .model_metadata(ModelMetadataRequest {
                name: "digits".into(),
                version: version.into(),
            })
            .await;
        if ready {
            assert_eq!(answer.unwrap().into_inner().model_version, "2");
            assert_eq!(metadata.unwrap().into_inner().versions, ["2"]);
        } else {
            for (status, field) in [
                (answer.unwrap_err(), "model_version"),
                (metadata.unwrap_err(), "version"),
            ] {
                assert_eq!(status.code(), Code::NotFound);
                let start =
                    format!("{field}: version {version:?} of the model digits is not served; 2 is");
                assert_eq!(status.message(), start);
            }
        }
    }
    let unknown = open
        .model_ready(model_ready("letters", ""))
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert!(
        unknown.message().contains("it serves digits, other"),
        "{unknown:?}"
    );

    let server = open
        .server_metadata(ServerMetadataRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(server.name, "digits-inference");
    let request = ModelMetadataRequest {
        name: "other".into(),
        version: String::new(),
    };
    let model = open.model_metadata(request).await.unwrap().into_inner();
    assert_eq!(
        (&*model.name, &*model.versions),
        ("other", &["1".to_owned()][..])
    );
    let tensors: Vec<_> = model
        .inputs
        .iter()
        .chain(&model.outputs)
        .map(|it| (&*it.name, &*it.datatype, &*it.shape))
        .collect();
    let expected: [(&str, &str, &[i64]); 4] = [
        ("pixels", "UINT8", &[-1, 28, 28]),
        ("logits", "FP32", &[-1, 10]),
        ("probabilities", "FP32", &[-1, 10]),
        ("label", "BYTES", &[-1]),
    ];
    assert_eq!(tensors, expected);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_outputs_that_are_asked_for() {
    let Setup { service, .. } = setup("digits", &[]).await;
    let mut open = open(&service).await;
    let asked = |names: &[&str]| {
        let mut request = raw("UINT8", &[2, 784], image(1).repeat(2));
        let output = |name: &&str| InferRequestedOutputTensor {
            name: (*name).into(),
            ..InferRequestedOutputTensor::default()
        };
        request.outputs = names.iter().map(output).collect();
        request
    };
    for names in [&["label"][..], &["label", "logits"], &["probabilities"]] {
        let answer = open.model_infer(asked(names)).await.unwrap().into_inner();
        let got: Vec<&str> = answer.outputs.iter().map(|it| &*it.name).collect();
        assert_eq!(got, names);
        assert_eq!(answer.raw_output_contents.len(), names.len());
    }
    for (names, field) in [
        (&["label", "label"][..], "outputs[1].name"),
        (&["boxes"], "outputs[0].name"),
    ] {
        let status = open.model_infer(asked(names)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{}", status.message());
    }
    service.end().await;
}

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
            raw("FP64", &[1, 784], vec![0; 784 * 8]),
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
