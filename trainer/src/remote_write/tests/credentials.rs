//! Receivers that require a token or use TLS.

use super::*;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::{fs, path::Path};

const NOTHING_DROPPED: &str =
    r#"digits_trainer_remote_write_samples_dropped_total{reason="refused"} 0"#;

fn with_token(address: Address, file: &Path) -> Receiver {
    Receiver {
        token_file: Some(file.to_owned()),
        ..open(address)
    }
}

/// Accepts only pushes with this token; reports for each push whether it was accepted.
fn requires_token(token: &'static str) -> (Address, mpsc::Receiver<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("an address");
    let (sender, accepted) = channel();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let (head, _) = read_with_head(&stream);
            let taken = head.contains(&format!("authorization: bearer {token}"));
            let status = if taken {
                "204 No Content"
            } else {
                "401 Unauthorized"
            };
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let heard = sender.send(taken).is_ok();
            stream.write_all(answer.as_bytes()).expect("an answer");
            if !heard {
                return;
            }
        }
    });
    let address = format!("http://{at}/api/v1/write");
    (address.parse().expect("an address"), accepted)
}

#[test]
fn a_replaced_token_file_is_read_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("token");
    fs::write(&file, "old\n").expect("a file");
    let (address, accepted) = requires_token("new");
    let (metrics, handle) = metrics();
    let remote_write =
        RemoteWrite::start(with_token(address, &file), metrics, &supervisor()).expect("a thread");
    let mut curve = remote_write.curve(JobId::generate(), "", &[]);
    curve.rows(&[row(now_us(), 1)]);
    assert!(!accepted.recv().expect("a push"));
    // As a mounted Secret is replaced: for a moment there may be nothing.
    fs::remove_file(&file).expect("a file");
    fs::write(dir.path().join("next"), "new\n").expect("a file");
    fs::rename(dir.path().join("next"), &file).expect("a file");
    wait_for(
        &handle,
        "digits_trainer_remote_write_samples_pushed_total 6",
    );
    assert!(has(&handle, NOTHING_DROPPED), "{}", handle.render());
    drop(curve);
    remote_write.close();
}

#[test]
fn an_unusable_file_is_reported_at_startup() {
    let dir = tempfile::tempdir().expect("a folder");
    let address: Address = "https://127.0.0.1:1/".parse().expect("an address");
    let missing = dir.path().join("missing");
    for receiver in [
        with_token(address.clone(), &missing),
        Receiver {
            ca_file: Some(missing.clone()),
            ..open(address)
        },
    ] {
        let error = RemoteWrite::start(receiver, metrics().0, &supervisor())
            .err()
            .expect("refused");
        assert!(
            error.to_string().contains("missing: No such file"),
            "{error}"
        );
    }
}

/// A receiver with a self-signed certificate, which is returned as PEM.
fn behind_tls() -> (Address, String, mpsc::Receiver<WriteRequest>) {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .expect("a key");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("an address");
    let (sender, received) = channel();
    thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut connection =
                ServerConnection::new(Arc::clone(&config)).expect("a configuration");
            while connection.is_handshaking() && connection.complete_io(&mut socket).is_ok() {}
            if connection.is_handshaking() {
                continue;
            }
            let mut stream = StreamOwned::new(connection, socket);
            let (_, request) = read_with_head(&mut stream);
            let heard = sender.send(request).is_ok();
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                .and_then(|()| stream.flush())
                .expect("an answer");
            if !heard {
                return;
            }
        }
    });
    let address = format!("https://{at}/api/v1/write");
    let address = address.parse().expect("an address");
    (address, own.cert.pem(), received)
}

#[test]
fn a_tls_receiver_is_verified_with_the_ca_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ca.pem");
    let (address, own, received) = behind_tls();
    let (_, other, _) = behind_tls();
    for (certificate, pushed) in [(other, false), (own, true)] {
        fs::write(&file, certificate).expect("a file");
        let (metrics, handle) = metrics();
        let receiver = Receiver {
            ca_file: Some(file.clone()),
            ..open(address.clone())
        };
        let remote_write = RemoteWrite::start(receiver, metrics, &supervisor()).expect("a thread");
        let mut curve = remote_write.curve(JobId::generate(), "", &[]);
        curve.rows(&[row(now_us(), 1)]);
        drop(curve);
        // Waits for at least one more attempt.
        remote_write.close();
        let requests = received.try_iter().count();
        assert_eq!(requests > 0, pushed, "{}", handle.render());
        let there = has(
            &handle,
            r#"digits_trainer_remote_write_samples_dropped_total{reason="shutdown"} 0"#,
        );
        assert_eq!(there, pushed, "{}", handle.render());
    }
}
