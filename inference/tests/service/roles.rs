//! Which roles open each method.

use crate::support::{Service, Store};
use digits_testing::patience;
use digits_testing::roles::{TOKEN_FILE, assert_all_methods, assert_opened_by};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SERVICES: [&str; 2] = [
    "digits.v1.InferenceService",
    "inference.GRPCInferenceService",
];

const METHODS: [(&str, &[&str]); 12] = [
    ("/digits.v1.InferenceService/Predict", &["predict", "admin"]),
    (
        "/digits.v1.InferenceService/PredictStream",
        &["predict", "admin"],
    ),
    (
        "/digits.v1.InferenceService/ReportOutcome",
        &["predict", "admin"],
    ),
    (
        "/digits.v1.InferenceService/GetModel",
        &["predict", "watch", "admin"],
    ),
    (
        "/inference.GRPCInferenceService/ModelInfer",
        &["predict", "admin"],
    ),
    (
        "/inference.GRPCInferenceService/ServerLive",
        &["predict", "watch", "admin"],
    ),
    (
        "/inference.GRPCInferenceService/ServerReady",
        &["predict", "watch", "admin"],
    ),
    (
        "/inference.GRPCInferenceService/ServerMetadata",
        &["predict", "watch", "admin"],
    ),
    (
        "/inference.GRPCInferenceService/ModelReady",
        &["predict", "watch", "admin"],
    ),
    (
        "/inference.GRPCInferenceService/ModelMetadata",
        &["predict", "watch", "admin"],
    ),
    (
        "/inference.GRPCInferenceService/ModelConfig",
        &["predict", "watch", "admin"],
    ),
    (
        "/inference.GRPCInferenceService/ModelStatistics",
        &["predict", "watch", "admin"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_method_is_opened_by_its_roles() {
    let store = Store::new();
    let tokens = store.folder.path().join("tokens");
    std::fs::write(&tokens, TOKEN_FILE).unwrap();
    let flags = ["--token-file", tokens.to_str().unwrap()];
    let service = Service::start(&store, "digits", &flags).await;
    let channel = service.channel().await;
    assert_all_methods(&SERVICES, &METHODS.map(|(path, _)| path));
    let ruled: Vec<&str> = digits_inference::grpc::ROLES
        .iter()
        .map(|(path, _)| *path)
        .collect();
    assert_all_methods(&SERVICES, &ruled);
    for (path, roles) in METHODS {
        assert_opened_by(&channel, path, roles).await;
    }
    service.end().await;
}

/// The status of a request over HTTP with the token that is the name of `role`.
async fn status(service: &Service, method: &str, path: &str, role: &str) -> u16 {
    let mut stream = TcpStream::connect(service.addresses.grpc).await.unwrap();
    // The role is checked with the message, once it is decoded.
    let body = r#"{"inputs":[{"name":"image","shape":[1,1],"datatype":"UINT8","data":[0]}]}"#;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {role}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    tokio::time::timeout(patience(), reading)
        .await
        .unwrap()
        .unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_path_of_http_is_opened_by_the_roles_of_its_method() {
    let store = Store::new();
    let tokens = store.folder.path().join("tokens");
    std::fs::write(&tokens, TOKEN_FILE).unwrap();
    let flags = ["--token-file", tokens.to_str().unwrap()];
    let service = Service::start(&store, "digits", &flags).await;
    let (predict, read) = (
        &["predict", "admin"][..],
        &["predict", "watch", "admin"][..],
    );
    for (method, path, roles) in [
        ("POST", "/v2/models/digits/infer", predict),
        ("POST", "/v2/models/digits/versions/1/infer", predict),
        ("GET", "/v2", read),
        ("GET", "/v2/health/live", read),
        ("GET", "/v2/health/ready", read),
        ("GET", "/v2/models/digits", read),
        ("GET", "/v2/models/digits/ready", read),
        ("GET", "/v2/models/digits/config", read),
        ("GET", "/v2/models/digits/stats", read),
        ("GET", "/v2/models/stats", read),
    ] {
        for role in ["predict", "watch", "train", "promote", "admin"] {
            let found = status(&service, method, path, role).await;
            assert_eq!(
                found != 403,
                roles.contains(&role),
                "{path} as {role}: {found}"
            );
        }
        assert_eq!(
            status(&service, method, path, "nobody").await,
            401,
            "{path}"
        );
    }
    service.end().await;
}
