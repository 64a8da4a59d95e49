//! Webhooks over TLS: the receiver's certificate is verified.

use crate::support::{Server, small_job, submit, watch_to_end};
use digits_testing::until;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, mpsc},
    thread,
};

/// A receiver with a self-signed certificate.
struct Receiver {
    address: String,
    /// Its certificate.
    pem: String,
    /// For each connection its event, or nothing if the client refused the certificate.
    seen: mpsc::Receiver<Option<Value>>,
}

impl Receiver {
    fn start() -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let own = own.expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::Pkcs8(key));
        let config = Arc::new(config.expect("a key"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, seen) = mpsc::channel();
        thread::spawn(move || {
            while let Ok((mut socket, _)) = listener.accept() {
                let mut connection =
                    ServerConnection::new(Arc::clone(&config)).expect("a configuration");
                while connection.is_handshaking() && connection.complete_io(&mut socket).is_ok() {}
                let event = match connection.is_handshaking() {
                    true => None,
                    false => read_event(StreamOwned::new(connection, socket)),
                };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self {
            address: format!("https://{address}/hooks"),
            pem: own.cert.pem(),
            seen,
        }
    }

    async fn next(&self) -> Option<Value> {
        let seen = until("a connection", async || Ok(self.seen.try_recv().ok()));
        seen.await.expect("connected")
    }
}

/// Reads a request, accepts its event and closes the connection.
fn read_event(stream: StreamOwned<ServerConnection, std::net::TcpStream>) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        // A client that refuses the certificate says so after the handshake.
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let stream = reader.get_mut();
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        .and_then(|()| stream.flush())
        .expect("an answer");
    Some(serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_verified_with_the_ca_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (receiver, other) = (Receiver::start(), Receiver::start());
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a file");
    let (secret, ca) = (path("secret"), path("ca.pem"));
    let arguments = [
        "--webhook",
        &receiver.address,
        "--webhook-secret-file",
        &secret,
    ];
    let arguments = [&arguments[..], &["--webhook-ca-file", &ca]].concat();
    fs::write(&ca, &other.pem).expect("a file");
    let server = Server::start(folder.path(), &arguments).await;
    let mut client = server.training().await;
    let job = submit(&mut client, "a", small_job(1)).await;
    watch_to_end(&mut client, &job.expect("accepted").job_id, 0).await;
    for _ in 0..2 {
        assert_eq!(receiver.next().await, None);
    }
    server.stop().await;

    fs::write(&ca, &receiver.pem).expect("a file");
    let server = Server::start(folder.path(), &arguments).await;
    let first = until("an event", async || Ok(receiver.next().await)).await;
    let first = first.expect("delivered");
    assert_eq!(first["type"], "digits.v1.checkpoint.published");
    server.stop().await;
}
