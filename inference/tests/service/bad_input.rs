//! Each kind of bad input gets its code, and a message that names the field.

use crate::support::{PIXELS, Setup, image, pictures, pixels, png, setup};
use digits_proto::v1::{GetModelRequest, PredictRequest, ReportOutcomeRequest};
use tonic::Code;
use tonic_types::StatusExt as _;

const SEVEN: &[u8] = include_bytes!("../../../crates/picture/src/samples/seven.jpg");

/// A PNG header with a size of 40,000 × 40,000.
fn huge_png() -> Vec<u8> {
    let mut png = png(10, 10);
    png[16..24].copy_from_slice(&[0, 0, 0x9c, 0x40, 0, 0, 0x9c, 0x40]);
    png
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_name_the_field() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &["--max-images", "20", "--max-pictures", "3"]).await;
    let good = || pixels("", image(1));
    let truncated = png(300, 300)[..200].to_vec();
    let several = |count: usize| pictures("", vec![png(20, 20); count]);
    let cases: Vec<(&str, PredictRequest, Code, &str, &str)> = vec![
        (
            "a byte short",
            pixels("", vec![0; 783]),
            Code::InvalidArgument,
            "pixels",
            "784 bytes (28 x 28)",
        ),
        (
            "a byte long",
            pixels("", vec![0; 785]),
            Code::InvalidArgument,
            "pixels",
            "not 785",
        ),
        (
            "no bytes",
            pixels("", vec![]),
            Code::InvalidArgument,
            "pixels",
            "at least one image",
        ),
        (
            "too many",
            pixels("", vec![0; 21 * PIXELS]),
            Code::InvalidArgument,
            "pixels",
            "21 images are more than the 20",
        ),
        (
            "nothing",
            PredictRequest::default(),
            Code::InvalidArgument,
            "images",
            "set pixels or pictures",
        ),
        (
            "no picture",
            several(0),
            Code::InvalidArgument,
            "pictures.encoded",
            "at least one picture",
        ),
        (
            "four pictures",
            several(4),
            Code::InvalidArgument,
            "pictures.encoded",
            "4 pictures are more than the 3",
        ),
        (
            "truncated",
            pictures("", vec![png(9, 9), truncated]),
            Code::InvalidArgument,
            "pictures.encoded[1]",
            "truncated",
        ),
        (
            "a JPEG that is cut off",
            pictures("", vec![SEVEN[..SEVEN.len() / 2].to_vec()]),
            Code::InvalidArgument,
            "pictures.encoded[0]",
            "truncated or damaged",
        ),
        (
            "an iPhone's picture",
            pictures("", vec![b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec()]),
            Code::InvalidArgument,
            "pictures.encoded[0]",
            "HEIC",
        ),
        (
            "huge",
            pictures("", vec![huge_png()]),
            Code::InvalidArgument,
            "pictures.encoded[0]",
            "40000 x 40000 pixels, more than the limit of 65000000",
        ),
        (
            "text",
            pictures("", vec![b"seven".to_vec()]),
            Code::InvalidArgument,
            "pictures.encoded[0]",
            "known format",
        ),
        (
            "empty one",
            pictures("", vec![vec![]]),
            Code::InvalidArgument,
            "pictures.encoded[0]",
            "empty",
        ),
        (
            "probability",
            PredictRequest {
                min_probability: 1.5,
                ..good()
            },
            Code::InvalidArgument,
            "min_probability",
            "0 to 1",
        ),
        (
            "not a number",
            PredictRequest {
                min_probability: f32::NAN,
                ..good()
            },
            Code::InvalidArgument,
            "min_probability",
            "NaN",
        ),
        (
            "long key",
            PredictRequest {
                routing_key: "k".repeat(300),
                ..good()
            },
            Code::InvalidArgument,
            "routing_key",
            "256",
        ),
        (
            "unknown model",
            pixels("letters", image(1)),
            Code::NotFound,
            "model",
            "\"letters\"; it serves digits",
        ),
    ];
    for (name, request, code, field, text) in cases {
        let status = client.predict(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{name}: {status:?}");
        assert!(
            status.message().starts_with(field),
            "{name}: {}",
            status.message()
        );
        assert!(
            status.message().contains(text),
            "{name}: {}",
            status.message()
        );
        if code == Code::InvalidArgument {
            assert_eq!(
                status.get_details_bad_request().unwrap().field_violations[0].field,
                field,
                "{name}"
            );
        }
    }
    assert_eq!(
        client
            .get_model(GetModelRequest { model: "x".into() })
            .await
            .unwrap_err()
            .code(),
        Code::NotFound
    );
    // Nothing of this disturbed the service.
    client.predict(good()).await.unwrap();
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_and_responses_are_refused() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &["--max-message-bytes", "100000"]).await;
    let status = client
        .predict(pixels("", vec![0; 200 * PIXELS]))
        .await
        .unwrap_err();
    assert!(
        matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted),
        "{status:?}"
    );
    let request = PredictRequest {
        want_input: true,
        ..pixels("", vec![0; 120 * PIXELS])
    };
    let status = client.predict(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().contains("pixels: the response would take"),
        "{}",
        status.message()
    );
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_are_checked() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &[]).await;
    let report = |sequence, predicted, actual| ReportOutcomeRequest {
        model: String::new(),
        sequence,
        predicted_label_index: predicted,
        true_label_index: actual,
        role: 0,
    };
    client.report_outcome(report(1, 3, 3)).await.unwrap();
    client.report_outcome(report(1, 3, 4)).await.unwrap();
    let cases = [
        (report(0, 1, 1), "sequence"),
        (report(1, 10, 1), "predicted_label_index"),
        (report(1, 1, 10), "true_label_index"),
    ];
    for (request, field) in cases {
        let status = client.report_outcome(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{}", status.message());
    }
    service.end().await;
}
