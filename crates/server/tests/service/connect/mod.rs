//! The Connect protocol: calls with JSON and protobuf, errors, and the limits of gRPC.

mod limits;
mod streams;
mod unary;

use std::io::Write as _;

use digits_server::{CredentialFlags, MethodRoles, Role, Roles, ServerConfig, connect};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto, ServiceDescriptorProto,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::secrets::Mounted;
use crate::support::{MAX_MESSAGE_BYTES, METHODS, Running, raw, within};

const SAY: &str = METHODS[0];
const COUNT: &str = METHODS[1];

/// The descriptors of the service of these tests, whose messages have a string and bytes; the
/// service itself knows the string alone.
fn descriptors() -> Vec<u8> {
    let field = |name: &str, json: &str, number, kind: Type| FieldDescriptorProto {
        name: Some(name.to_owned()),
        json_name: Some(json.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        ..FieldDescriptorProto::default()
    };
    let text = DescriptorProto {
        name: Some("Text".to_owned()),
        field: vec![
            field("text_value", "textValue", 1, Type::String),
            field("picture", "picture", 2, Type::Bytes),
        ],
        ..DescriptorProto::default()
    };
    let method = |name: &str, streams| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".test.v1.Text".to_owned()),
        output_type: Some(".test.v1.Text".to_owned()),
        server_streaming: Some(streams),
        ..MethodDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("test.proto".to_owned()),
        package: Some("test.v1".to_owned()),
        message_type: vec![text],
        service: vec![ServiceDescriptorProto {
            name: Some("Echo".to_owned()),
            method: vec![method("Say", false), method("Count", true)],
            ..ServiceDescriptorProto::default()
        }],
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

async fn start(prefix: &'static str, config: ServerConfig) -> Running {
    let config = ServerConfig {
        max_message_bytes: MAX_MESSAGE_BYTES,
        ..config
    };
    let api = connect::Api::new(descriptors(), &["test.v1.Echo"], ("test", "1"));
    let api = api.expect("descriptors");
    let upload = connect::Upload {
        path: "/say",
        method: SAY,
        field: "picture",
        text: |response| format!("{} bytes\n", response.len()),
    };
    let api = api.with_upload(upload);
    let with_connect = |server: digits_server::GrpcServer| server.with_connect(api);
    Running::start_with(prefix, config, with_connect, |routes| routes).await
}

/// A request with `headers`, each with its line end, and a body.
fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

const JSON: &str = "Content-Type: application/json\r\n";

/// Status, headers in lower case, and body of an answer.
fn parts(answer: &str) -> (u16, String, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head[9..12].parse().expect("a status");
    (status, head.to_ascii_lowercase(), body)
}

async fn say(server: &Running, headers: &str, body: &[u8]) -> (u16, Value) {
    let headers = format!("{JSON}{headers}");
    let answer = raw(server.address, &post(SAY, &headers, body)).await;
    let (status, _, body) = parts(&answer);
    let json = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    (status, json)
}

fn text(value: &str) -> Vec<u8> {
    json!({ "textValue": value }).to_string().into_bytes()
}

fn packed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    if encoding == "gzip" {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory");
        return encoder.finish().expect("memory");
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn with_tokens(mounted: &Mounted) -> ServerConfig {
    const ROLES: MethodRoles = &[
        (METHODS[0], Roles::of(&[Role::Train])),
        (METHODS[1], Roles::of(&[Role::Watch])),
    ];
    let flags = CredentialFlags {
        token_file: Some(mounted.path("tokens")),
        ..CredentialFlags::default()
    };
    ServerConfig {
        credentials: flags.load().expect("good tokens"),
        roles: ROLES,
        ..ServerConfig::default()
    }
}

/// A streaming request over HTTP/1.1; the messages of its answer with their flags.
async fn stream(server: &Running, headers: &str, body: &[u8]) -> (u16, Vec<(u8, String)>) {
    let headers = format!("Content-Type: application/connect+json\r\n{headers}");
    let request = post(COUNT, &headers, body);
    let mut connection = server.tcp().await;
    connection.write_all(&request).await.expect("sent");
    let mut answer = Vec::new();
    within(connection.read_to_end(&mut answer))
        .await
        .expect("read");
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let end = end.expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let body = unchunked(&head, &answer[end + 4..]);
    let (mut rest, mut messages) = (&*body, Vec::new());
    while let Some((head, tail)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let (message, tail) = tail.split_at(length as usize);
        messages.push((head[0], String::from_utf8_lossy(message).into_owned()));
        rest = tail;
    }
    (head[9..12].parse().expect("a status"), messages)
}

/// A body without the lengths of its chunks.
fn unchunked(head: &str, mut body: &[u8]) -> Vec<u8> {
    if !head.contains("transfer-encoding: chunked") {
        return body.to_vec();
    }
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|it| it == b"\r\n") {
        let length = String::from_utf8_lossy(&body[..end]);
        let length = usize::from_str_radix(&length, 16).expect("a length");
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
    whole
}

fn envelope(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    [&[flag], &length[..], message].concat()
}
