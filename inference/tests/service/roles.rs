//! Which roles open each method.

use crate::support::{Service, Store};
use digits_testing::roles::{TOKEN_FILE, assert_opened_by};

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
    let declared: Vec<&str> = METHODS.iter().map(|(path, _)| *path).collect();
    for path in digits_inference::metrics::METHODS {
        assert!(
            declared.contains(path) || path.starts_with("/grpc."),
            "{path}"
        );
    }
    for (path, roles) in METHODS {
        assert_opened_by(&channel, path, roles).await;
    }
    service.end().await;
}
