//! Inputs in every form, and their responses.

use super::{floats, little_endian, open, raw, scaled, typed};
use crate::support::{Setup, image, pixels, setup};
use digits_proto::open_inference::infer_parameter::ParameterChoice;
use digits_proto::open_inference::model_infer_request::InferRequestedOutputTensor;
use digits_proto::open_inference::{InferTensorContents, ModelInferResponse};
use digits_proto::v1::PredictRequest;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_the_input_gives_the_predictions_of_predict() {
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
    // Half a grey step off every pixel: rounding would answer as to `image`, or as to its
    // neighbour.
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
            "the two are indistinguishable: {got:?}, {rounded:?}"
        );
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_has_only_the_requested_outputs() {
    let Setup { service, .. } = setup("digits", &[]).await;
    let mut open = open(&service).await;
    let request = |names: &[&str]| {
        let mut request = raw("UINT8", &[2, 784], image(1).repeat(2));
        let output = |name: &&str| InferRequestedOutputTensor {
            name: (*name).into(),
            ..InferRequestedOutputTensor::default()
        };
        request.outputs = names.iter().map(output).collect();
        request
    };
    for names in [
        &["label"][..],
        &["label", "logits"],
        &["probabilities"],
        &["text", "label"],
    ] {
        let answer = open.model_infer(request(names)).await.unwrap().into_inner();
        let got: Vec<&str> = answer.outputs.iter().map(|it| &*it.name).collect();
        assert_eq!(got, names);
        let contents = answer.raw_output_contents;
        assert_eq!(contents.len(), names.len());
        // What is written in an image of one digit is its label.
        assert!(names[0] != "text" || contents[0] == contents[1]);
    }
    for (names, field) in [
        (&["label", "label"][..], "outputs[1].name"),
        (&["boxes"], "outputs[0].name"),
    ] {
        let status = open.model_infer(request(names)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{}", status.message());
    }
    service.end().await;
}
