//! Places under `--max-in-flight` of requests over plain HTTP.

use super::rest::{document, infer};
use crate::support::{Setup, image, setup};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

#[tokio::test(flavor = "multi_thread")]
async fn half_a_body_takes_no_place_from_others() {
    let Setup { service, .. } = setup("digits", &["--max-in-flight", "1"]).await;
    let mut half = TcpStream::connect(service.addresses.grpc).await.unwrap();
    let head = "POST /v2/models/digits/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\
                Expect: 100-continue\r\n\r\n";
    half.write_all(head.as_bytes()).await.unwrap();
    // The service awaits the body from now on.
    let mut line = [0; 12];
    half.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 100");
    half.write_all(b"{").await.unwrap();
    let one = document("UINT8", json!([1, 784]), json!(image(3)));
    let answer = infer(&service, &one).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    service.end().await;
}
