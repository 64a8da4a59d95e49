//! Streams: messages after their heads, and the end with its status.

use digits_server::ServerConfig;
use serde_json::{Value, json};

use super::{COUNT, JSON, envelope, packed, post, start, stream, text, with_tokens};
use crate::support::secrets::Mounted;
use crate::support::{MAX_MESSAGE_BYTES, eventually, raw, series};

#[tokio::test]
async fn a_stream_ends_with_its_status() {
    let server = start("t_connect_stream", ServerConfig::default()).await;
    let number = |n: usize| (0, json!({"textValue": n.to_string()}).to_string());
    let (status, messages) = stream(&server, "", &envelope(0, &text("3"))).await;
    let end = (2, "{}".to_owned());
    assert_eq!(status, 200);
    assert_eq!(messages, [number(0), number(1), number(2), end.clone()]);
    let gzip = "Connect-Content-Encoding: gzip\r\n";
    let request = envelope(1, &packed("gzip", &text("1")));
    let (_, messages) = stream(&server, gzip, &request).await;
    assert_eq!(messages, [number(0), end]);
    let bomb = packed("gzip", &text(&"7".repeat(16 * MAX_MESSAGE_BYTES)));
    let too_long = [&[0][..], &u32::MAX.to_be_bytes()].concat();
    for (headers, request, code) in [
        ("", envelope(0, &text("many")), "invalid_argument"),
        ("", envelope(0, b"{"), "invalid_argument"),
        ("", envelope(1, &text("1")), "invalid_argument"),
        ("", envelope(2, &text("1")), "invalid_argument"),
        (
            "",
            envelope(0, &text("1"))[..8].to_vec(),
            "invalid_argument",
        ),
        ("", Vec::new(), "invalid_argument"),
        ("", too_long, "out_of_range"),
        (gzip, envelope(1, &bomb), "out_of_range"),
    ] {
        let (status, messages) = stream(&server, headers, &request).await;
        assert_eq!(status, 200);
        let [(2, end)] = &messages[..] else {
            panic!("{messages:?}");
        };
        let end: Value = serde_json::from_str(end).expect("JSON");
        assert_eq!(end["error"]["code"], code, "{end}");
    }
    let ok = r#"t_connect_stream_grpc_requests_total{method="Count",code="OK"}"#;
    eventually("they are counted", || series(ok) == Some(2.0)).await;
    let wrong = raw(server.address, &post(COUNT, JSON, &text("3"))).await;
    assert!(wrong.starts_with("HTTP/1.1 415 "), "{wrong}");
    assert!(
        wrong.contains("accept-post: application/connect+json"),
        "{wrong}"
    );
}

#[tokio::test]
async fn a_stream_without_a_token_ends_at_once() {
    let mounted = Mounted::new(&[("tokens", "alice abc\n")]);
    let server = start("t_connect_stream_tokens", with_tokens(&mounted)).await;
    let (status, messages) = stream(&server, "", &envelope(0, &text("3"))).await;
    assert_eq!((status, messages.len()), (200, 1));
    assert!(messages[0].1.contains("unauthenticated"), "{messages:?}");
    let token = "Authorization: Bearer abc\r\n";
    let (_, messages) = stream(&server, token, &envelope(0, &text("3"))).await;
    assert_eq!(messages.len(), 4);
}
