//! Health, metadata, versions.

use super::{open, raw};
use crate::support::{Net, Service, Store, admin, image};
use digits_proto::open_inference::{
    ModelMetadataRequest, ModelReadyRequest, ServerLiveRequest, ServerMetadataRequest,
    ServerReadyRequest,
};
use tonic::Code;

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
    assert!(!service.is_serving().await, "one of two models serves");
    let (line, reason) = admin(&service, "/readyz").await;
    assert!(
        line.contains("503") && reason.contains("of other"),
        "{line} {reason}"
    );
    store.serve("other", 1, &net).await;
    service.serves("other", 1).await;
    service.becomes_serving().await;
    assert!(admin(&service, "/readyz").await.0.contains("200"));
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
    let expected: [(&str, &str, &[i64]); 5] = [
        ("pixels", "UINT8", &[-1, 28, 28]),
        ("logits", "FP32", &[-1, 10]),
        ("probabilities", "FP32", &[-1, 10]),
        ("label", "BYTES", &[-1]),
        ("text", "BYTES", &[-1]),
    ];
    assert_eq!(tensors, expected);
    service.end().await;
}
