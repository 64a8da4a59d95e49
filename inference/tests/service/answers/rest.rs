//! The Open Inference Protocol over plain HTTP, byte for byte as curl would send it.

use crate::support::{Net, Service, Setup, Store, image, setup};
use digits_proto::v1::PredictRequest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        assert!(
            self.head.contains("content-type: application/json"),
            "{}",
            self.head
        );
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines();
        lines
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

pub(super) async fn http(
    service: &Service,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Answer {
    let mut stream = tokio::net::TcpStream::connect(service.addresses.grpc)
        .await
        .unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server that refuses may close before it has read everything.
    let _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: bytes[end + 4..].to_vec(),
    }
}

pub(super) async fn get(service: &Service, path: &str) -> Answer {
    http(service, "GET", path, "", b"").await
}

pub(super) async fn infer(service: &Service, document: &Value) -> Answer {
    let body = document.to_string();
    http(
        service,
        "POST",
        "/v2/models/digits/infer",
        "",
        body.as_bytes(),
    )
    .await
}

pub(super) fn document(datatype: &str, shape: Value, data: Value) -> Value {
    json!({ "id": "7", "inputs": [{ "name": "pixels", "datatype": datatype, "shape": shape, "data": data }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metadata() {
    let store = Store::new();
    let service = Service::start(&store, "digits", &["--poll-interval", "10ms"]).await;
    assert_eq!(get(&service, "/v2/health/live").await.status, 200);
    for path in [
        "/v2/health/ready",
        "/v2/models/digits/ready",
        "/v2/models/digits",
    ] {
        assert_eq!(get(&service, path).await.status, 503, "{path}");
    }
    store.serve("digits", 1, &Net::favouring(3, 1)).await;
    service.serves("digits", 1).await;
    let cases = [
        ("/v2/health/ready", json!({"ready": true})),
        (
            "/v2/models/digits/ready",
            json!({"name": "digits", "ready": true}),
        ),
        (
            "/v2/models/digits/versions/1/ready",
            json!({"name": "digits", "ready": true}),
        ),
    ];
    for (path, expected) in cases {
        let answer = get(&service, path).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{path}");
    }
    assert_eq!(
        get(&service, "/v2").await.json()["name"],
        "digits-inference"
    );
    for path in ["/v2/models/digits", "/v2/models/digits/versions/1"] {
        let model = get(&service, path).await.json();
        assert_eq!(
            (&model["name"], &model["versions"]),
            (&json!("digits"), &json!(["1"]))
        );
        assert_eq!(
            model["inputs"],
            json!([{ "name": "pixels", "datatype": "UINT8", "shape": [-1, 28, 28] }])
        );
        assert_eq!(
            model["outputs"][2],
            json!({ "name": "label", "datatype": "BYTES", "shape": [-1] })
        );
        assert_eq!(
            model["outputs"][3],
            json!({ "name": "text", "datatype": "BYTES", "shape": [-1] })
        );
    }
    assert_eq!(
        get(&service, "/v2/models/digits/versions/2/ready")
            .await
            .status,
        503
    );
    for (path, text) in [
        ("/v2/models/letters", "it serves digits"),
        ("/v2/models/letters/ready", "it serves digits"),
        ("/v2/models/digits/versions/2", "is not served; 1 is"),
        ("/v2/nothing/here", "unknown path"),
    ] {
        let answer = get(&service, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer.json()["error"].as_str().unwrap().contains(text),
            "{path}: {}",
            answer.json()
        );
    }
    let answer = get(&service, "/v2/models/digits/infer").await;
    assert_eq!(answer.status, 405);
    assert!(answer.json()["error"].is_string());
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_over_http_equal_those_over_grpc() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &[]).await;
    let bytes = [image(1), image(2)].concat();
    let request = PredictRequest {
        want_logits: true,
        ..crate::support::pixels("", bytes.clone())
    };
    let expected = client.predict(request).await.unwrap().into_inner();
    let expected: Vec<f32> = expected
        .predictions
        .into_iter()
        .flat_map(|it| it.logits)
        .collect();
    let rows: Vec<Vec<u8>> = bytes.chunks(28).map(<[u8]>::to_vec).collect();
    let nested: Vec<Value> = rows.chunks(28).map(|rows| json!(rows)).collect();
    let floats: Vec<f32> = bytes.iter().map(|&x| f32::from(x) / 255.0).collect();
    let documents = [
        document("UINT8", json!([2, 784]), json!(bytes)),
        document("UINT8", json!([2, 28, 28]), json!(nested)),
        document("FP32", json!([2, 1, 28, 28]), json!(floats)),
    ];
    for document in &documents {
        let answer = infer(&service, document).await;
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        let answer = answer.json();
        assert_eq!(
            (
                &answer["model_name"],
                &answer["model_version"],
                &answer["id"]
            ),
            (&json!("digits"), &json!("1"), &json!("7"))
        );
        assert_eq!(answer["parameters"]["role"], "primary");
        let outputs = answer["outputs"].as_array().unwrap();
        assert_eq!(outputs.len(), 3);
        assert_eq!(outputs[0]["shape"], json!([2, 10]));
        let logits: Vec<f32> = serde_json::from_value(outputs[0]["data"].clone()).unwrap();
        assert_eq!(logits, expected);
        assert_eq!(outputs[2]["data"], json!(["label 3", "label 3"]));
    }
    let mut only = documents[0].clone();
    only["outputs"] = json!([{ "name": "text" }]);
    let answer = infer(&service, &only).await.json();
    assert_eq!(
        answer["outputs"],
        json!([{ "name": "text", "datatype": "BYTES", "shape": [2], "data": ["label 3", "label 3"] }])
    );
    only["outputs"] = json!([{ "name": "label" }]);
    let answer = infer(&service, &only).await.json();
    assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
    let body = only.to_string();
    let path = "/v2/models/digits/versions/1/infer";
    assert_eq!(
        http(&service, "POST", path, "", body.as_bytes())
            .await
            .status,
        200
    );
    let answer = http(
        &service,
        "POST",
        "/v2/models/digits/infer",
        "X-Request-Id: abc-1\r\n",
        body.as_bytes(),
    )
    .await;
    assert_eq!(answer.header("x-request-id"), Some("abc-1"));
    let late = "X-Request-Id: abc-2\r\ngrpc-timeout: 0n\r\n";
    let answer = http(
        &service,
        "POST",
        "/v2/models/digits/infer",
        late,
        body.as_bytes(),
    )
    .await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.header("x-request-id"), Some("abc-2"));
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_tensors_follow_the_json() {
    let Setup { service, .. } = setup("digits", &[]).await;
    let expected = infer(
        &service,
        &document("UINT8", json!([1, 784]), json!(image(1))),
    )
    .await
    .json();
    let document = json!({
        "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [1, 784], "parameters": { "binary_data_size": 784 } }],
        "outputs": [{ "name": "logits", "parameters": { "binary_data": true } }, { "name": "label" }],
    })
    .to_string();
    let send = async |length: usize, behind: Vec<u8>| {
        let headers = format!("Inference-Header-Content-Length: {length}\r\n");
        let body = [document.as_bytes(), &behind].concat();
        http(&service, "POST", "/v2/models/digits/infer", &headers, &body).await
    };
    let answer = send(document.len(), image(1)).await;
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    let length: usize = answer
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    let body: Value = serde_json::from_slice(&answer.body[..length]).unwrap();
    assert_eq!(body["outputs"][0]["parameters"]["binary_data_size"], 40);
    assert_eq!(body["outputs"][1]["data"], json!(["label 3"]));
    let logits: Vec<f32> = answer.body[length..]
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&x| f32::from_le_bytes(x))
        .collect();
    let same: Vec<f32> = serde_json::from_value(expected["outputs"][0]["data"].clone()).unwrap();
    assert_eq!(logits, same);

    for (answer, text) in [
        (
            send(document.len(), image(1)[..700].to_vec()).await,
            "784 is more than the 700 bytes",
        ),
        (
            send(document.len(), vec![0; 800]).await,
            "16 bytes after the JSON",
        ),
        (
            send(document.len() + 5000, image(1)).await,
            "inference-header-content-length",
        ),
    ] {
        assert_eq!(answer.status, 400);
        assert!(
            answer.json()["error"].as_str().unwrap().contains(text),
            "{}",
            answer.json()
        );
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_json_with_their_status() {
    let Setup { service, .. } = setup(
        "digits",
        &["--max-images", "4", "--max-message-bytes", "20000"],
    )
    .await;
    let zeros = |count: usize| json!(vec![0; count]);
    let good = document("UINT8", json!([1, 784]), zeros(784));
    let cases = [
        (
            document("UINT8", json!([1, 784]), zeros(783)),
            400,
            "inputs[0]: its shape and type need 784 bytes",
        ),
        (
            document("UINT8", json!([1, 783]), zeros(783)),
            400,
            "inputs[0].shape: must be [n, 784]",
        ),
        (
            document("UINT8", json!([5, 784]), zeros(5 * 784)),
            400,
            "5 images are more than the 4",
        ),
        (
            document("UINT8", json!([1, 784]), json!(vec![0.5; 784])),
            400,
            "inputs[0].data: value 0 must be a whole number",
        ),
        (
            document("FP32", json!([1, 784]), json!(vec![2; 784])),
            400,
            "value 0 must be from 0 to 1",
        ),
        (
            document("BOOL", json!([1, 784]), zeros(784)),
            400,
            "inputs[0].datatype",
        ),
        (
            document("UINT8", json!([1, 784]), json!("text")),
            400,
            "not a valid request",
        ),
        (json!({ "inputs": [] }), 400, "inputs: must be one tensor"),
        (json!({}), 400, "missing field `inputs`"),
        (
            json!({ "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [1, 784] }] }),
            400,
            "inputs[0].data: must be set",
        ),
        (
            document("UINT8", json!([13, 784]), zeros(13 * 784)),
            413,
            "larger than the server accepts",
        ),
    ];
    for (document, status, text) in cases {
        let answer = infer(&service, &document).await;
        let body = answer.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(
            (answer.status, body.contains(text)),
            (status, true),
            "{text}: {body}"
        );
    }
    // A browser that was led here under a foreign name gets nothing.
    let mut stream = tokio::net::TcpStream::connect(service.addresses.grpc)
        .await
        .unwrap();
    stream
        .write_all(b"GET /v2 HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");

    assert_eq!(infer(&service, &good).await.status, 200);
    assert_eq!(get(&service, "/v2/nothing").await.status, 404);
    let unreadable = get(&service, "/v2/models/%FF").await;
    assert!(unreadable.status == 400 && unreadable.json()["error"].is_string());
    assert_eq!(get(&service, "/v2/models/digits/infer").await.status, 405);
    // A client that disconnects within its body.
    let mut stream = tokio::net::TcpStream::connect(service.addresses.grpc)
        .await
        .unwrap();
    stream
        .write_all(b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        .await
        .unwrap();
    drop(stream);
    // Requests that reached the service and those refused before it, such as a body that is too
    // long. At least as many: other tests of the process send requests too.
    for (method, code, requests) in [
        ("ModelInfer", "OK", 1.0),
        ("ModelInfer", "OUT_OF_RANGE", 1.0),
        ("ModelInfer", "CANCELLED", 1.0),
        ("other", "UNIMPLEMENTED", 2.0),
        ("other", "INVALID_ARGUMENT", 1.0),
    ] {
        let name =
            format!("digits_inference_grpc_requests_total{{method=\"{method}\",code=\"{code}\"}}");
        service.until_series(&name, |value| value >= requests).await;
    }
    service.end().await;
}
