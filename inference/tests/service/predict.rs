//! Responses of Predict and PredictStream.

use crate::support::{
    DRAWN, Net, PIXELS, Service, Setup, Store, admin, comparing, guises, image, pictures, pixels,
    png, series, setup,
};
use digits_checkpoint::record::Role;
use digits_proto::v1::{
    EncodedPictures, PredictRequest, PredictStreamRequest, Verdict, predict_request::Images,
};
use digits_testing::patience;
use futures::StreamExt as _;
use image::{GrayImage, ImageFormat, Luma};
use std::io::Cursor;
use tonic::{Code, Request};

/// Probabilities are of the logits divided by the manifest's temperature; the logits are returned
/// undivided.
#[tokio::test(flavor = "multi_thread")]
async fn probabilities_use_the_temperature_of_the_checkpoint() {
    const TEMPERATURE: f64 = 2.5;
    let net = Net::favouring(3, 1);
    let store = Store::new();
    let mut draft = net.draft("warm");
    draft.manifest.temperature = TEMPERATURE;
    let id = store.publish(draft).await;
    store.record("warm", 1, &[(id, Role::Primary, 1.0)]);
    let service = Service::start(&store, "warm", &[]).await;
    service.serves("warm", 1).await;
    let mut client = service.client().await;
    // Both execution paths.
    for count in [1, 70] {
        let images: Vec<Vec<u8>> = (0..count).map(image).collect();
        let request = PredictRequest {
            want_logits: true,
            ..pixels("warm", images.concat())
        };
        let answer = client.predict(request).await.unwrap().into_inner();
        for (prediction, image) in answer.predictions.iter().zip(&images) {
            let logits = net.logits(image);
            let exponent = |logit: f32| (f64::from(logit) / TEMPERATURE).exp();
            let sum: f64 = logits.iter().map(|&logit| exponent(logit)).sum();
            assert_eq!(prediction.probabilities.len(), logits.len());
            for (got, &logit) in prediction.probabilities.iter().zip(&logits) {
                assert!((f64::from(*got) - exponent(logit) / sum).abs() < 1e-5);
            }
            for (got, expected) in prediction.logits.iter().zip(&logits) {
                assert!((got - expected).abs() < 1e-4, "{got} for {expected}");
            }
        }
    }
    let model = service.serves("warm", 1).await;
    let checkpoint = model.served[0].checkpoint.as_ref().unwrap();
    assert_eq!(checkpoint.temperature, TEMPERATURE);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn predictions_equal_those_of_the_network() {
    let Setup {
        net,
        service,
        mut client,
        ..
    } = setup("answers", &[]).await;
    // Few and many images: both execution paths.
    for count in [1, 3, 8, 70] {
        let images: Vec<Vec<u8>> = (0..count).map(image).collect();
        let request = PredictRequest {
            want_logits: true,
            want_input: true,
            ..pixels("answers", images.concat())
        };
        let answer = client.predict(request).await.unwrap().into_inner();
        assert_eq!(answer.predictions.len(), images.len());
        for (prediction, image) in answer.predictions.iter().zip(&images) {
            let logits = net.logits(image);
            for (got, expected) in prediction.logits.iter().zip(&logits) {
                assert!((got - expected).abs() < 1e-4, "{got} for {expected}");
            }
            let sum: f64 = logits.iter().map(|&z| f64::from(z).exp()).sum();
            for (got, logit) in prediction.probabilities.iter().zip(&logits) {
                let expected = f64::from(*logit).exp() / sum;
                assert!((f64::from(*got) - expected).abs() < 1e-5);
            }
            assert_eq!(
                (prediction.label_index, prediction.label.as_str()),
                (Some(3), "label 3")
            );
            assert_eq!(prediction.verdict(), Verdict::Label);
            assert_eq!(&prediction.input, image);
            assert!(prediction.top.is_empty());
        }
        let served = answer.served_by.unwrap();
        assert_eq!(
            (served.model.as_str(), served.sequence, served.role),
            ("answers", 1, 1)
        );
    }
    let request = PredictRequest {
        top_k: 3,
        ..pixels("answers", image(1))
    };
    let answer = client
        .predict(request)
        .await
        .unwrap()
        .into_inner()
        .predictions
        .remove(0);
    assert!(answer.probabilities.is_empty() && answer.logits.is_empty() && answer.input.is_empty());
    assert_eq!(answer.top.len(), 3);
    assert_eq!(answer.top[0].label_index, 3);
    assert!(
        answer
            .top
            .is_sorted_by(|a, b| a.probability >= b.probability)
    );
    let request = PredictRequest {
        top_k: 1000,
        min_probability: 1.0,
        ..pixels("answers", image(1))
    };
    let answer = client
        .predict(request)
        .await
        .unwrap()
        .into_inner()
        .predictions
        .remove(0);
    assert_eq!(answer.top.len(), 10);
    assert_eq!(
        (answer.verdict(), answer.label_index, answer.label.as_str()),
        (Verdict::Unsure, None, "")
    );
    service.end().await;
}

/// Requests of a model that went through its network.
async fn computed(service: &Service, model: &str) -> f64 {
    let (_, text) = admin(service, "/metrics").await;
    let name = format!(
        "digits_inference_compute_duration_seconds_count{{model=\"{model}\",role=\"primary\"}}"
    );
    series(&text, &name).unwrap()
}

/// Predicts an image with the model `expired` over gRPC-Web, with a `grpc-timeout`. Returns the
/// whole response as text.
async fn over_the_web(service: &Service, timeout: &str, image: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // Field 1, the model, and field 2, the pixels, whose length takes two bytes.
    let mut message = b"\x0a\x07expired\x12".to_vec();
    message.extend([image.len() as u8 | 0x80, (image.len() >> 7) as u8]);
    message.extend_from_slice(image);
    let mut body = vec![0];
    body.extend((message.len() as u32).to_be_bytes());
    body.extend(message);
    let head = format!(
        "POST /digits.v1.InferenceService/Predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/grpc-web+proto\r\ngrpc-timeout: {timeout}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(service.addresses.grpc)
        .await
        .unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_requests_are_not_computed() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("expired", &[]).await;
    // By hand: a client of tonic's gives such a request up before it is sent.
    for timeout in ["0n", "1n"] {
        let answer = over_the_web(&service, timeout, &image(1)).await;
        assert!(answer.contains("grpc-status: 4\r\n"), "{answer}");
        assert_eq!(computed(&service, "expired").await, 0.0);
    }
    let enough = format!("{}m", patience().as_millis());
    let answer = over_the_web(&service, &enough, &image(1)).await;
    assert!(answer.contains("grpc-status:0\r\n"), "{answer}");
    assert_eq!(computed(&service, "expired").await, 1.0);
    let mut request = Request::new(pixels("expired", image(1)));
    request.set_timeout(patience());
    client.predict(request).await.unwrap();
    assert_eq!(computed(&service, "expired").await, 2.0);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_responds_in_order() {
    let Setup {
        net,
        service,
        mut client,
        ..
    } = setup("digits", &[]).await;
    let request = |number: u64| PredictStreamRequest {
        request: Some(PredictRequest {
            want_logits: true,
            ..pixels("", image(number))
        }),
    };
    let requests = futures::stream::iter((0..200).map(request));
    let mut answers = client.predict_stream(requests).await.unwrap().into_inner();
    for number in 0..200 {
        let answer = answers.message().await.unwrap().unwrap().response.unwrap();
        let expected = net.logits(&image(number));
        assert!(
            (answer.predictions[0].logits[5] - expected[5]).abs() < 1e-4,
            "answer {number}"
        );
    }
    assert!(answers.message().await.unwrap().is_none());

    // A bad request ends the stream with its error, after the answers before it.
    let bad = PredictStreamRequest {
        request: Some(pixels("", vec![1; 5])),
    };
    let requests = futures::stream::iter([request(1), bad, request(2)]);
    let answers: Vec<_> = client
        .predict_stream(requests)
        .await
        .unwrap()
        .into_inner()
        .collect()
        .await;
    assert_eq!(answers.len(), 2);
    assert!(answers[0].is_ok());
    let status = answers[1].as_ref().unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().starts_with("pixels"),
        "{}",
        status.message()
    );
    let empty = futures::stream::iter([PredictStreamRequest::default()]);
    let mut answers = client.predict_stream(empty).await.unwrap().into_inner();
    assert_eq!(
        answers.message().await.unwrap_err().code(),
        Code::InvalidArgument
    );
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_does_not_delay_the_shutdown() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &["--shutdown-grace", "1h"]).await;
    let request = PredictStreamRequest {
        request: Some(pixels("", image(1))),
    };
    let requests = futures::stream::iter([request]).chain(futures::stream::pending());
    let mut answers = client.predict_stream(requests).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();
    let ending = tokio::time::timeout(patience(), service.end());
    let (status, ended) = tokio::join!(answers.message(), ending);
    assert_eq!(status.unwrap_err().code(), Code::Unavailable);
    ended.expect("the stream held up the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn blank_and_several() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &[]).await;
    let blank = PredictRequest {
        normalize_pixels: true,
        ..pixels("", vec![0; PIXELS])
    };
    let answer = client
        .predict(blank)
        .await
        .unwrap()
        .into_inner()
        .predictions
        .remove(0);
    assert_eq!(
        (answer.verdict(), answer.label_index),
        (Verdict::Blank, None)
    );
    // Without normalization, an empty image is classified like any other.
    let answer = client
        .predict(pixels("", vec![0; PIXELS]))
        .await
        .unwrap()
        .into_inner()
        .predictions
        .remove(0);
    assert_eq!(answer.verdict(), Verdict::Label);
    let mut two = GrayImage::from_pixel(200, 100, Luma([255]));
    for y in 20..80 {
        for x in (40..48).chain(150..158) {
            two.put_pixel(x, y, Luma([0]));
        }
    }
    let mut encoded = Cursor::new(Vec::new());
    two.write_to(&mut encoded, ImageFormat::Png).unwrap();
    let images = Images::Pictures(EncodedPictures {
        encoded: vec![encoded.into_inner().into(), png(0x40, 0x40).into()],
    });
    let request = PredictRequest {
        images: Some(images),
        ..PredictRequest::default()
    };
    let answer = client.predict(request).await.unwrap().into_inner();
    assert_eq!(answer.predictions[0].verdict(), Verdict::SeveralDigits);
    let boxes: Vec<_> = answer.predictions[0]
        .boxes
        .iter()
        .map(|b| (b.left, b.top, b.width, b.height))
        .collect();
    assert_eq!(boxes, [(40, 20, 8, 60), (150, 20, 8, 60)]);
    assert_eq!(answer.predictions.len(), 2);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_are_read_from_pictures_of_every_style() {
    let store = Store::new();
    store.serve("digits", 1, &comparing()).await;
    let service = Service::start(&store, "digits", &[]).await;
    service.serves("digits", 1).await;
    let mut client = service.client().await;
    for (label, digit) in DRAWN.into_iter().enumerate() {
        let (names, encoded): (Vec<_>, Vec<_>) = guises(digit).into_iter().unzip();
        let request = PredictRequest {
            want_input: true,
            ..pictures("", encoded)
        };
        let answer = client.predict(request).await.unwrap().into_inner();
        assert_eq!(answer.predictions.len(), names.len());
        for (name, prediction) in names.into_iter().zip(answer.predictions) {
            assert_eq!(prediction.verdict(), Verdict::Label, "{digit}, {name}");
            assert_eq!(
                prediction.label_index,
                Some(label as u32),
                "{digit}, {name}: {prediction:?}"
            );
            assert_eq!(prediction.input.len(), PIXELS);
            assert_eq!(prediction.input.iter().max(), Some(&255), "{digit}, {name}");
        }
    }
    service.end().await;
}
