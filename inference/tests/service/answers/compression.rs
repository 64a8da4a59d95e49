//! Compressed requests: `grpc-encoding` over gRPC, `Content-Encoding` over HTTP.

use super::rest::http;
use crate::support::{Setup, image, pixels, setup};
use digits_proto::{
    open_inference::{
        ServerLiveRequest, grpc_inference_service_client::GrpcInferenceServiceClient,
    },
    v1::{PredictStreamRequest, inference_service_client::InferenceServiceClient},
};
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use futures::stream;
use serde_json::json;
use std::io::Write as _;
use tonic::{
    Code,
    codec::CompressionEncoding::{Deflate, Gzip},
};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_requests_may_be_compressed_and_are_bounded() {
    let limit = ["--max-message-bytes", "100000"];
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &limit).await;
    let address = format!("http://{}", service.addresses.grpc);
    let expected = client.predict(pixels("", image(1))).await.unwrap();
    for encoding in [Gzip, Deflate] {
        let client = InferenceServiceClient::connect(address.clone())
            .await
            .unwrap();
        let mut client = client.send_compressed(encoding).accept_compressed(encoding);
        let answer = client.predict(pixels("", image(1))).await.unwrap();
        assert!(answer.metadata().contains_key("grpc-encoding"));
        let (answer, expected) = (answer.get_ref(), expected.get_ref());
        assert_eq!(answer.predictions, expected.predictions);
        // Small on the wire, and more than the limit when it is unpacked.
        let bomb = pixels("", vec![0; 784 * 1000]);
        let refused = client.predict(bomb.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
        let bomb = PredictStreamRequest {
            request: Some(bomb),
        };
        // The status is in the trailers here, after the response to the first request.
        let small = PredictStreamRequest {
            request: Some(pixels("", image(1))),
        };
        let requests = stream::iter([small, bomb]);
        let mut answers = client.predict_stream(requests).await.unwrap().into_inner();
        assert!(answers.message().await.unwrap().is_some());
        let refused = answers.message().await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
        let client = GrpcInferenceServiceClient::connect(address.clone()).await;
        let mut client = client.unwrap().send_compressed(encoding);
        let live = client.server_live(ServerLiveRequest {}).await.unwrap();
        assert!(live.get_ref().live);
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_grpc_web_requests_are_bounded() {
    let limit = ["--max-message-bytes", "100000"];
    let Setup { service, .. } = setup("digits", &limit).await;
    let bomb = gzip(&vec![0; 200_000]);
    let length = u32::try_from(bomb.len()).unwrap().to_be_bytes();
    let body = [&[1], &length[..], &bomb].concat();
    let headers = "Content-Type: application/grpc-web+proto\r\nGrpc-Encoding: gzip\r\n";
    let path = "/digits.v1.InferenceService/Predict";
    let refused = http(&service, "POST", path, headers, &body).await;
    assert_eq!(
        refused.header("grpc-status"),
        Some("11"),
        "{}",
        refused.head
    );
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_requests_may_be_compressed_and_are_bounded() {
    let limit = ["--max-message-bytes", "100000"];
    let Setup { service, .. } = setup("digits", &limit).await;
    let input = |images: usize, parameters: serde_json::Value| {
        json!({"inputs": [{
            "name": "pixels", "datatype": "UINT8", "shape": [images, 784],
            "parameters": parameters,
        }]})
        .to_string()
        .into_bytes()
    };
    let document = input(1, json!({"binary_data_size": 784}));
    // The length in the header is that of the uncompressed JSON.
    let length = format!("Inference-Header-Content-Length: {}\r\n", document.len());
    let body = [document, image(1)].concat();
    let infer = async |encoding: &str, body: &[u8]| {
        let headers = format!("Content-Encoding: {encoding}\r\n{length}");
        http(&service, "POST", "/v2/models/digits/infer", &headers, body).await
    };
    let plain = infer("identity", &body).await;
    assert_eq!(plain.status, 200, "{}", plain.head);
    for (encoding, compressed) in [("gzip", gzip(&body)), ("deflate", deflate(&body))] {
        let answer = infer(encoding, &compressed).await;
        assert_eq!(
            (answer.status, &answer.body),
            (200, &plain.body),
            "{encoding}"
        );
        let damaged = infer(encoding, &compressed[..compressed.len() / 2]).await;
        assert_eq!(damaged.status, 400, "{encoding}");
    }
    let zeros = vec![0; 50 << 20];
    for (encoding, bomb) in [("gzip", gzip(&zeros)), ("deflate", deflate(&zeros))] {
        let answer = infer(encoding, &bomb).await;
        assert_eq!(answer.status, 413, "{encoding}: {}", answer.json());
    }
    let unknown = infer("br", &body).await;
    assert_eq!(unknown.status, 415);
    assert_eq!(unknown.header("accept-encoding"), Some("gzip, deflate"));
    let message = unknown.json()["error"].to_string();
    assert!(
        message.contains("br") && message.contains("gzip"),
        "{message}"
    );
    service.end().await;
}
