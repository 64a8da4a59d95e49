//! HTTP/2 by hand (RFC 9113), for clients that no library is.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Running, within};

/// Path of a unary method.
pub const SAY: &str = "/test.v1.Echo/Say";
/// Path of a method whose response is a stream.
pub const COUNT: &str = "/test.v1.Echo/Count";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

pub const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;

/// A connection whose requests are numbered.
pub struct Client {
    pub connection: TcpStream,
    next: u32,
}

impl Client {
    pub async fn connect(server: &Running) -> Self {
        Self::connect_with(server, &preface()).await
    }

    /// Connects with other first bytes than [`preface`].
    pub async fn connect_with(server: &Running, preface: &[u8]) -> Self {
        let mut client = Self::over(server.tcp().await);
        client.connection.write_all(preface).await.expect("sent");
        client
    }

    /// Over a connection on which nothing was sent.
    pub fn over(connection: TcpStream) -> Self {
        Self {
            connection,
            next: 1,
        }
    }

    pub fn stream(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }

    /// Requests that are cancelled at once.
    pub fn cancelled(&mut self, count: usize) -> Vec<u8> {
        let requests = (0..count).flat_map(|_| {
            let stream = self.stream();
            [headers(stream, SAY), reset(stream)].concat()
        });
        requests.collect()
    }

    /// Reads until the request of `stream` is answered with `text`; `None` if the connection ends.
    pub async fn answer(&mut self, stream: u32, text: &str) -> Option<()> {
        let mut body = Vec::new();
        loop {
            let got = within(read_frame(&mut self.connection)).await?;
            if got.kind == GOAWAY {
                return None;
            }
            if got.stream == stream && got.kind == DATA {
                body.extend(got.payload);
            }
            if got.stream == stream && got.flags & END_STREAM != 0 {
                assert_eq!(body, frame(text));
                return Some(());
            }
        }
    }

    /// Sends a request whose message is `text`; returns its stream.
    pub async fn request(&mut self, path: &str, text: &str) -> u32 {
        let stream = self.stream();
        let message = data(stream, END_STREAM, &frame(text));
        let request = [headers(stream, path), message].concat();
        self.connection.write_all(&request).await.expect("sent");
        stream
    }

    /// Sends a request of which three bytes of the message's head are missing; returns its stream.
    pub async fn half_request(&mut self) -> u32 {
        let stream = self.stream();
        let begun = data(stream, 0, &frame("seven")[..2]);
        let request = [headers(stream, SAY), begun].concat();
        self.connection.write_all(&request).await.expect("sent");
        stream
    }

    /// Reads until `stream` ends without a message; `None` if the connection ends first.
    pub async fn failed(&mut self, stream: u32) -> Option<()> {
        loop {
            let got = within(read_frame(&mut self.connection)).await?;
            assert!(got.stream != stream || got.kind != DATA, "{got:?}");
            if got.stream == stream && got.flags & END_STREAM != 0 {
                return Some(());
            }
        }
    }

    /// Reads until `stream` ends; `None` if the connection ends first.
    pub async fn ended(&mut self, stream: u32) -> Option<()> {
        loop {
            let got = within(read_frame(&mut self.connection)).await?;
            if got.stream == stream && got.flags & END_STREAM != 0 {
                return Some(());
            }
        }
    }

    /// Reads frames until the connection ends, and gives the server no window for more.
    pub async fn read_to_end(&mut self) {
        while within(read_frame(&mut self.connection)).await.is_some() {}
    }

    /// Acknowledges the settings of the server, so that its windows for requests apply.
    pub async fn settle(&mut self) {
        self.acknowledged().await.expect("connected");
        let acknowledgement = encode(SETTINGS, ACK, 0, &[]);
        let sent = self.connection.write_all(&acknowledgement).await;
        sent.expect("sent");
    }

    /// Waits until everything that was sent has been read; `None` if the connection ends.
    pub async fn acknowledged(&mut self) -> Option<()> {
        self.connection.write_all(&ping()).await.ok()?;
        loop {
            let got = within(read_frame(&mut self.connection)).await?;
            match (got.kind, got.flags & ACK) {
                (GOAWAY, _) => return None,
                (PING, ACK) => return Some(()),
                _ => {}
            }
        }
    }
}

/// A frame that was received.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// Reads the next frame; `None` when the connection is closed.
async fn read_frame(connection: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let mut head = [0; 9];
    connection.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    connection.read_exact(&mut payload).await.ok()?;
    Some(Frame {
        kind,
        flags,
        stream: u32::from_be_bytes(stream),
        payload,
    })
}

fn encode(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()[..]].concat();
    [&head, payload].concat()
}

/// The first bytes of a connection.
pub fn preface() -> Vec<u8> {
    let settings = encode(SETTINGS, 0, 0, &[]);
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat()
}

/// The first bytes of a client that accepts responses of any size at once.
pub fn preface_with_large_windows() -> Vec<u8> {
    const LARGEST: u32 = i32::MAX as u32;
    let initial_window = [&[0, 4][..], &LARGEST.to_be_bytes()].concat();
    let increment = (LARGEST - 65_535).to_be_bytes();
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        encode(SETTINGS, 0, 0, &initial_window),
        encode(WINDOW_UPDATE, 0, 0, &increment),
    ]
    .concat()
}

/// The headers of a gRPC request, whose body follows.
pub fn headers(stream: u32, path: &str) -> Vec<u8> {
    // HPACK (RFC 7541): POST and http by their index in the static table, then names by theirs
    // (4, 1, 15 + 16) with plain values.
    let mut headers = vec![0x83, 0x86];
    for (name, value) in [
        (&[0x04][..], path),
        (&[0x01], "localhost"),
        (&[0x0f, 0x10], "application/grpc"),
    ] {
        headers.extend_from_slice(name);
        headers.push(u8::try_from(value.len()).expect("short"));
        headers.extend_from_slice(value.as_bytes());
    }
    encode(HEADERS, END_HEADERS, stream, &headers)
}

/// A part of a body.
pub fn data(stream: u32, flags: u8, part: &[u8]) -> Vec<u8> {
    encode(DATA, flags, stream, part)
}

/// Cancels a request.
pub fn reset(stream: u32) -> Vec<u8> {
    encode(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// Asks for an acknowledgement of everything sent before.
fn ping() -> Vec<u8> {
    encode(PING, 0, 0, &[7; 8])
}

/// A `String` message of any length in a gRPC frame: field 1, its length in four bytes.
pub fn message(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short");
    let varint = [0, 7, 14, 21].map(|bits| (length >> bits) as u8 & 0x7f | 0x80);
    let field = [&[0x0a][..], &varint[..3], &[varint[3] & 0x7f]].concat();
    let whole = u32::try_from(field.len() + text.len()).expect("short");
    [&[0][..], &whole.to_be_bytes(), &field, text.as_bytes()].concat()
}

/// A `String` message in a gRPC frame: field 1, below 128 bytes.
pub fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("short");
    let mut frame = vec![0, 0, 0, 0, length + 2, 0x0a, length];
    frame.extend_from_slice(text.as_bytes());
    frame
}
