//! JSON over plain HTTP: Connect's unary calls, and pictures as bodies.

use super::rest::http;
use crate::support::{Setup, image, pixels, png, setup};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

const PREDICT: &str = "/digits.v1.InferenceService/Predict";
const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn json_has_the_answer_of_grpc() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &[]).await;
    let expected = client.predict(pixels("", image(3))).await.unwrap();
    let expected = expected.into_inner();
    let request = json!({"pixels": STANDARD.encode(image(3)), "wantLogits": true});
    let request = request.to_string();
    let answer = http(&service, "POST", PREDICT, JSON, request.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    let answer = answer.json();
    let prediction = &answer["predictions"][0];
    assert_eq!(prediction["label"], expected.predictions[0].label);
    assert_eq!(prediction["verdict"], "VERDICT_LABEL");
    assert_eq!(prediction["logits"].as_array().unwrap().len(), 10);
    let probabilities = prediction["probabilities"].as_array().unwrap();
    for (ours, theirs) in probabilities
        .iter()
        .zip(&expected.predictions[0].probabilities)
    {
        assert_eq!(ours.as_f64().unwrap() as f32, *theirs);
    }
    assert_eq!(answer["servedBy"]["sequence"], "1");
    assert_eq!(answer["servedBy"]["role"], "SERVING_ROLE_PRIMARY");
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_fields() {
    let Setup { service, .. } = setup("digits", &["--max-images", "20"]).await;
    let short = json!({"pixels": STANDARD.encode([0; 783])}).to_string();
    let answer = http(&service, "POST", PREDICT, JSON, short.as_bytes()).await;
    assert_eq!(answer.status, 400);
    let error = answer.json();
    assert_eq!(error["code"], "invalid_argument");
    let detail = &error["details"][0];
    assert_eq!(detail["type"], "google.rpc.BadRequest");
    assert_eq!(detail["debug"]["fieldViolations"][0]["field"], "pixels");
    let unknown = http(&service, "POST", PREDICT, JSON, br#"{"model": "letters"}"#).await;
    assert_eq!(
        (unknown.status, &unknown.json()["code"]),
        (404, &json!("not_found"))
    );
    service.end().await;
}

/// A list of millions of elements in less than 16 MiB of text.
fn many(start: &str, element: &str, end: &str) -> Vec<u8> {
    let count = (15 << 20) / (element.len() + 1);
    let elements = vec![element; count].join(",");
    format!("{start}{elements}{end}").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_values_of_a_request_are_counted_as_in_grpc() {
    let Setup { service, .. } = setup("digits", &[]).await;
    let infer = "/inference.GRPCInferenceService/ModelInfer";
    for (path, body, code, part) in [
        (
            PREDICT,
            many(r#"{"pictures": {"encoded": ["#, r#""""#, "]}}"),
            "invalid_argument",
            "100000",
        ),
        (
            infer,
            many(r#"{"inputs": ["#, "{}", "]}"),
            "invalid_argument",
            "100000",
        ),
        // Numbers of a byte, eight bytes each as protobuf.
        (
            infer,
            many(
                r#"{"inputs": [{"contents": {"fp64Contents": ["#,
                "0",
                "]}}]}",
            ),
            "out_of_range",
            "16777216",
        ),
        (
            PREDICT,
            vec![b' '; (16 << 20) + 1],
            "out_of_range",
            "16777216",
        ),
        (
            PREDICT,
            vec![b'['; 1 << 20],
            "invalid_argument",
            "invalid JSON",
        ),
    ] {
        let answer = http(&service, "POST", path, JSON, &body).await;
        assert_eq!(answer.status, 400, "{}", answer.head);
        let error = answer.json();
        assert_eq!(error["code"], code, "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part), "{message}");
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_as_the_body_is_classified() {
    let Setup { service, .. } = setup("digits", &[]).await;
    let upload = async |query: &str, headers: &str, body: &[u8]| {
        http(
            &service,
            "POST",
            &format!("/v1/predict{query}"),
            headers,
            body,
        )
        .await
    };
    let seven = include_bytes!("../../../../crates/picture/src/samples/seven.jpg");
    // As curl sends it with --data-binary.
    let form = "Accept: */*\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let answer = upload("?topK=1", form, seven).await;
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    let prediction = &answer.json()["predictions"][0];
    let label = prediction["label"].as_str().unwrap();
    assert_eq!(prediction["top"].as_array().map(Vec::len), Some(1));
    let text = upload("", "Accept: text/plain\r\n", seven).await;
    assert_eq!(
        text.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(String::from_utf8_lossy(&text.body), format!("{label}\n"));
    let text = upload(
        "?minProbability=1&expect=number",
        "Accept: text/plain\r\n",
        seven,
    )
    .await;
    assert_eq!(String::from_utf8_lossy(&text.body), "?\n");
    let json = json!({"pictures": {"encoded": [STANDARD.encode(seven)]}}).to_string();
    assert_eq!(upload("", JSON, json.as_bytes()).await.status, 200);
    for (query, body, part) in [
        ("", &b"no picture"[..], "pictures.encoded[0]"),
        ("", b"", "pictures.encoded[0]"),
        ("", &png(300, 300)[..200], "pictures.encoded[0]"),
        ("?top=3", seven, "no parameter"),
        ("?pixels=AA==", seven, "no parameter"),
        ("?minProbability=2", seven, "min_probability"),
    ] {
        let answer = upload(query, "", body).await;
        assert_eq!(answer.status, 400, "{query}");
        let error: Value = answer.json();
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
    let requests = r#"digits_inference_grpc_requests_total{method="Predict",code="OK"}"#;
    service.until_series(requests, |count| count >= 4.0).await;
    service.end().await;
}
