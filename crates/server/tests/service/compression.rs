//! gzip and deflate of gRPC messages, in both directions and within bounds.

use digits_server::ServerConfig;
use http::uri::PathAndQuery;
use tonic::codec::CompressionEncoding::{self, Deflate, Gzip};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, client};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

use crate::support::h2::{SAY, frame};
use crate::support::{MAX_MESSAGE_BYTES, Running, eventually, post, raw, series, within};

/// Calls `Say` with a compressed request, or an uncompressed one of a client that reads every
/// encoding.
async fn say(
    channel: Channel,
    encoding: Option<CompressionEncoding>,
    text: &str,
) -> Result<Response<String>, Status> {
    let mut grpc = client::Grpc::new(channel)
        .accept_compressed(Gzip)
        .accept_compressed(Deflate);
    if let Some(encoding) = encoding {
        grpc = grpc.send_compressed(encoding);
    }
    within(grpc.ready()).await.expect("connected");
    let codec = ProstCodec::<String, String>::default();
    let path = PathAndQuery::from_static(SAY);
    within(grpc.unary(Request::new(text.to_owned()), path, codec)).await
}

#[tokio::test]
async fn a_response_is_compressed_as_its_request() {
    let server = Running::start("t_compressed", ServerConfig::default()).await;
    let text = "seven".repeat(1000);
    for encoding in [None, Some(Gzip), Some(Deflate)] {
        let response = say(server.channel().await, encoding, &text)
            .await
            .expect("said");
        let named = response.metadata().get("grpc-encoding");
        let named = named.map(|it| it.to_str().expect("text").to_owned());
        assert_eq!(named, encoding.map(|it| it.to_string()));
        assert_eq!(response.into_inner(), text);
    }
}

#[tokio::test]
async fn a_message_unpacks_to_the_limit_of_messages_at_most() {
    let server = Running::start("t_bomb", ServerConfig::default()).await;
    let bomb = "7".repeat(64 * MAX_MESSAGE_BYTES);
    // One fault, one code.
    for encoding in [None, Some(Gzip), Some(Deflate)] {
        let refused = say(server.channel().await, encoding, &bomb).await;
        let refused = refused.expect_err("too large");
        assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
        let limit = MAX_MESSAGE_BYTES.to_string();
        assert!(refused.message().contains(&limit), "{refused:?}");
    }
    assert_eq!(*server.echo.entered.borrow(), 0);
    let counted = r#"t_bomb_grpc_requests_total{method="Say",code="OUT_OF_RANGE"}"#;
    eventually("all are counted", || series(counted) == Some(3.0)).await;
}

#[tokio::test]
async fn a_message_that_is_not_what_it_should_be_is_a_fault_of_the_request() {
    let server = Running::start("t_malformed", ServerConfig::default()).await;
    // A number where the method takes text, and text that is no gzip.
    let mut grpc = client::Grpc::new(server.channel().await);
    within(grpc.ready()).await.expect("connected");
    let path = PathAndQuery::from_static(SAY);
    let codec = ProstCodec::<u32, String>::default();
    let number = within(grpc.unary(Request::new(7), path, codec)).await;
    let refused = number.expect_err("no text");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert!(refused.message().contains("decode"), "{refused:?}");

    let web = "application/grpc-web+proto";
    let gzip = format!("{web}\r\ngrpc-encoding: gzip");
    for (flag, headers) in [(1, &*gzip), (1, web), (7, web)] {
        let mut body = frame("seven");
        body[0] = flag;
        let answer = raw(server.address, &post("localhost", headers, &body)).await;
        assert!(answer.contains("grpc-status: 3"), "{flag}: {answer}");
    }
    let cut = &frame("seven")[..8];
    let answer = raw(server.address, &post("localhost", web, cut)).await;
    assert!(answer.contains("grpc-status: 3"), "{answer}");
    let text = post("localhost", "application/grpc-web-text", b"no base64!");
    let answer = raw(server.address, &text).await;
    assert!(answer.contains("grpc-status: 3"), "{answer}");
    // Counted as if the client had reset it, which looks the same.
    let answer = raw(server.address, &post("localhost", web, &[])).await;
    assert!(answer.contains("grpc-status: 3"), "{answer}");
    assert_eq!(*server.echo.entered.borrow(), 0);
    let counted = r#"t_malformed_grpc_requests_total{method="Say",code="INVALID_ARGUMENT"}"#;
    eventually("all are counted", || series(counted) == Some(6.0)).await;
}

#[tokio::test]
async fn an_unknown_encoding_is_refused_with_the_known_ones() {
    let server = Running::start("t_unknown_encoding", ServerConfig::default()).await;
    let mut request = Request::new("seven".to_owned());
    let zstd = "zstd".parse().expect("a header's value");
    request.metadata_mut().insert("grpc-encoding", zstd);
    let refused = crate::support::call(server.channel().await, request, SAY).await;
    let refused = refused.expect_err("unknown");
    assert_eq!(refused.code(), Code::Unimplemented);
    assert!(refused.message().contains("zstd"), "{refused:?}");
    let known = refused
        .metadata()
        .get("grpc-accept-encoding")
        .expect("known");
    assert_eq!(known, "gzip,deflate,identity");
}

#[tokio::test]
async fn health_reads_compressed_requests() {
    let server = Running::start("t_compressed_health", ServerConfig::default()).await;
    for encoding in [Gzip, Deflate] {
        let mut client = HealthClient::new(server.channel().await).send_compressed(encoding);
        let request = HealthCheckRequest {
            service: "test.v1.Echo".to_owned(),
        };
        let checked = within(client.check(request)).await;
        assert!(checked.is_ok(), "{checked:?}");
    }
}
