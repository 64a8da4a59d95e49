//! The port with a certificate: all traffic uses TLS, clients may have to present a certificate,
//! and both are replaced while the server runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use digits_server::page::{File, Kind, router};
use digits_server::{CredentialFlags, Drained, ServerConfig};
use digits_testing::patience;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::support::secrets::{Authority, Mounted, Pair, files};
use crate::support::{Running, eventually, raw, say, series, within};

fn config(flags: &CredentialFlags) -> ServerConfig {
    ServerConfig {
        credentials: flags.load().expect("good files"),
        credentials_interval: Duration::from_millis(10),
        ..ServerConfig::default()
    }
}

fn endpoint(address: SocketAddr, authority: &Authority, identity: Option<&Pair>) -> Endpoint {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&authority.pem))
        .domain_name("localhost");
    let tls = match identity {
        Some(pair) => tls.identity(Identity::from_pem(&pair.certificate, &pair.key)),
        None => tls,
    };
    Endpoint::from_shared(format!("https://{address}"))
        .and_then(|endpoint| endpoint.tls_config(tls))
        .expect("an endpoint")
}

async fn channel(server: &Running, authority: &Authority) -> Channel {
    let endpoint = endpoint(server.address, authority, None);
    within(endpoint.connect()).await.expect("connected")
}

/// A TLS connection with this ALPN protocol.
async fn secured(
    address: SocketAddr,
    authority: &Authority,
    protocol: &[u8],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM"))
        .expect("an authority");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await.expect("connected");
    let name = ServerName::try_from("localhost").expect("a name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    within(connecting).await.expect("a handshake")
}

/// The certificate that a new connection is presented.
async fn presented(address: SocketAddr, authority: &Authority) -> CertificateDer<'static> {
    let stream = secured(address, authority, b"h2").await;
    let chain = stream.get_ref().1.peer_certificates().expect("a chain");
    chain[0].clone().into_owned()
}

fn der(pair: &Pair) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("PEM")
}

/// Made for this test by `openssl ecparam -name secp521r1 -genkey`.
const P521_KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIBeP6J0V3RrDkrtcRS\n\
xXAE2AZphTEaIhrQLdxiRohuny8aSOU0W9XNr3xs+iuUNMuCRu3eageDUK828gIP\n\
giGBPQKhgYkDgYYABAHxGuPUC46l3O/hwOkHWqhLUWCg3Wu9p/Eew9zv5IcojGLU\n\
fzWBpm3a1wu0YkzvIvqJVXhi79uW2zEklS2c17RCEQBT8XSS+OIW2uHns9cFpoVB\n\
c/7UHAGVVdY732zxuF4FUA0gFlCwXdosNUU/eJfO9pff2Omn4psPvXdcWmXgYy5E\n\
4Q==\n\
-----END PRIVATE KEY-----\n";

#[tokio::test]
async fn grpc_and_pages_share_a_tls_port() {
    let authority = Authority::new("one");
    let mounted = Mounted::new(&files(&authority.issue("server")));
    let page = router([File::new("/", Kind::Html, b"<p>hello</p>")]);
    let server = Running::start_with(
        "t_tls",
        config(&mounted.tls()),
        |server| server.with_pages(page),
        |routes| routes,
    )
    .await;

    let channel = channel(&server, &authority).await;
    assert_eq!(say(channel, "hello").await.expect("answered"), "hello");

    let mut stream = secured(server.address, &authority, b"http/1.1").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer))
        .await
        .expect("read");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("<p>hello</p>"), "{answer}");

    let failed = "t_tls_tls_handshakes_failed_total";
    assert_eq!(series(failed), Some(0.0));
    let plain = raw(server.address, request).await;
    assert!(!plain.contains("HTTP"), "{plain}");
    eventually("it is counted", || series(failed) == Some(1.0)).await;
    let expiry = series("t_tls_tls_certificate_expiry_timestamp_seconds");
    assert!(expiry.expect("there") > 1.7e9, "{expiry:?}");
}

#[tokio::test]
async fn failed_handshakes_take_no_place_among_the_connections() {
    let authority = Authority::new("one");
    let mounted = Mounted::new(&files(&authority.issue("server")));
    let config = ServerConfig {
        max_connections: 2,
        ..config(&mounted.tls())
    };
    let server = Running::start("t_failed_handshakes", config).await;
    let failed = "t_failed_handshakes_tls_handshakes_failed_total";
    for count in 1..=5 {
        raw(server.address, b"GET / HTTP/1.1\r\n\r\n").await;
        let all = Some(f64::from(count));
        eventually("it is counted", || series(failed) == all).await;
    }
    let channel = channel(&server, &authority).await;
    assert_eq!(say(channel, "hello").await.expect("answered"), "hello");
}

#[tokio::test]
async fn silent_handshakes_make_room_for_others() {
    let authority = Authority::new("one");
    let mounted = Mounted::new(&files(&authority.issue("server")));
    let config = ServerConfig {
        max_connections: 4,
        ..config(&mounted.tls())
    };
    let server = Running::start("t_handshakes", config).await;
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(server.tcp().await);
    }
    let channel = channel(&server, &authority).await;
    assert_eq!(say(channel, "hello").await.expect("answered"), "hello");
    let displaced = r#"t_handshakes_connections_closed_total{reason="displaced"}"#;
    eventually("all are counted", || series(displaced) == Some(9.0)).await;
}

#[tokio::test]
async fn a_silent_client_delays_neither_others_nor_the_shutdown() {
    let authority = Authority::new("one");
    let mounted = Mounted::new(&files(&authority.issue("server")));
    let config = ServerConfig {
        drain: patience() * 2,
        ..config(&mounted.tls())
    };
    let server = Running::start("t_silent", config).await;
    let _silent = server.tcp().await;
    let channel = channel(&server, &authority).await;
    assert_eq!(
        say(channel.clone(), "hello").await.expect("answered"),
        "hello"
    );
    drop(channel);
    server.shutdown.cancel();
    assert_eq!(server.ended().await, Drained::Complete);
}

#[tokio::test]
async fn a_client_needs_a_certificate_of_a_trusted_authority() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server_pair = ours.issue("server");
    let mut all = files(&server_pair).to_vec();
    all.push(("ca.crt", &ours.pem));
    let mounted = Mounted::new(&all);
    let flags = CredentialFlags {
        tls_client_ca_file: Some(mounted.path("ca.crt")),
        ..mounted.tls()
    };
    let server = Running::start("t_mutual", config(&flags)).await;

    for identity in [None, Some(theirs.issue("stranger"))] {
        let channel = endpoint(server.address, &ours, identity.as_ref()).connect_lazy();
        assert!(
            say(channel, "hello").await.is_err(),
            "{}",
            identity.is_some()
        );
    }
    // The client receives the reason although the server never reads what it sent.
    let mut stream = secured(server.address, &ours, b"h2").await;
    stream.write_all(&[0; 16 << 10]).await.expect("sent");
    let alert = within(stream.read(&mut [0])).await.expect_err("refused");
    assert!(alert.to_string().contains("CertificateRequired"), "{alert}");
    let failed = "t_mutual_tls_handshakes_failed_total";
    eventually("all are counted", || series(failed) >= Some(3.0)).await;

    let friend = ours.issue("friend");
    let channel = endpoint(server.address, &ours, Some(&friend)).connect_lazy();
    assert_eq!(say(channel, "hello").await.expect("answered"), "hello");
    assert_eq!(*server.echo.entered.borrow(), 1);
}

#[tokio::test]
async fn a_new_certificate_applies_to_new_connections_only() {
    let authority = Authority::new("one");
    let (old, new) = (authority.issue("old"), authority.issue("new"));
    let mut mounted = Mounted::new(&files(&old));
    let server = Running::start("t_rotated", config(&mounted.tls())).await;
    let open = channel(&server, &authority).await;
    let held = tokio::spawn(say(open.clone(), "hold"));
    server.entered(1).await;
    assert_eq!(presented(server.address, &authority).await, der(&old));

    mounted.swap(&files(&new));
    let reloaded = r#"t_rotated_credentials_reloads_total{result="reloaded"}"#;
    eventually("it is loaded", || series(reloaded) == Some(1.0)).await;
    assert_eq!(presented(server.address, &authority).await, der(&new));
    server.echo.gate.send_replace(true);
    assert_eq!(
        within(held).await.expect("no panic").expect("answered"),
        "hold"
    );
    assert_eq!(say(open, "on").await.expect("answered"), "on");
}

#[tokio::test]
async fn an_unusable_certificate_leaves_the_old_one_in_use_until_a_valid_one_appears() {
    let authority = Authority::new("one");
    let (old, new, other) = (
        authority.issue("old"),
        authority.issue("new"),
        authority.issue("other"),
    );
    let mut mounted = Mounted::new(&files(&old));
    let server = Running::start("t_bad", config(&mounted.tls())).await;
    let failed = r#"t_bad_credentials_reloads_total{result="failed"}"#;
    let reloaded = r#"t_bad_credentials_reloads_total{result="reloaded"}"#;
    assert_eq!(presented(server.address, &authority).await, der(&old));
    assert_eq!((series(failed), series(reloaded)), (Some(0.0), Some(0.0)));

    for (certificate, key) in [
        (&new.certificate, &other.key),
        (&"no certificate".to_owned(), &new.key),
        (&new.certificate, &String::new()),
    ] {
        let before = series(failed);
        mounted.swap(&[("tls.crt", certificate), ("tls.key", key)]);
        eventually("it is counted", || series(failed) > before).await;
        assert_eq!(presented(server.address, &authority).await, der(&old));
    }
    assert_eq!(series(reloaded), Some(0.0));

    mounted.swap(&files(&new));
    eventually("it is loaded", || series(reloaded) == Some(1.0)).await;
    assert_eq!(presented(server.address, &authority).await, der(&new));
}

/// As editors on Windows write it.
#[test]
fn a_byte_order_mark_before_the_first_line_is_ignored() {
    let pair = Authority::new("one").issue("server");
    let marked = |text: &str| format!("\u{feff}{text}");
    let (certificate, key) = (marked(&pair.certificate), marked(&pair.key));
    let mounted = Mounted::new(&[
        ("tls.crt", &certificate),
        ("tls.key", &key),
        ("tokens", &marked("alice secret\n")),
        ("utf16", "utf16"),
    ]);
    let flags = CredentialFlags {
        token_file: Some(mounted.path("tokens")),
        ..mounted.tls()
    };
    flags.load().expect("good files");
    let utf16: Vec<u8> = "\u{feff}alice secret"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    std::fs::write(mounted.path("utf16"), utf16).expect("written");
    let flags = CredentialFlags {
        token_file: Some(mounted.path("utf16")),
        ..CredentialFlags::default()
    };
    let error = flags.load().expect_err("not UTF-8").to_string();
    assert!(error.contains("save it as UTF-8"), "{error}");
}

#[test]
fn unusable_files_are_refused_at_the_start_by_flag() {
    let authority = Authority::new("one");
    let (pair, other) = (authority.issue("server"), authority.issue("other"));
    // Its contents are never read.
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let mounted = Mounted::new(&[
        ("tls.crt", &pair.certificate),
        ("tls.key", &pair.key),
        ("other.key", &other.key),
        ("encrypted.key", encrypted),
        ("p521.key", P521_KEY),
        ("empty", "\n"),
        ("text", "no PEM"),
        (
            "torn",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
    ]);
    let (certificate, key, ca) = (
        "--tls-certificate-file",
        "--tls-key-file",
        "--tls-client-ca-file",
    );
    let path = |name: &str| (!name.is_empty()).then(|| mounted.path(name));
    for (files, flag, part) in [
        (["tls.crt", "", "", ""], certificate, "needs --tls-key-file"),
        (["", "tls.key", "", ""], key, "needs --tls-certificate-file"),
        (["", "", "tls.crt", ""], ca, "needs --tls-certificate-file"),
        (["none", "tls.key", "", ""], certificate, "No such file"),
        (["empty", "tls.key", "", ""], certificate, "is empty"),
        (["text", "tls.key", "", ""], certificate, "no certificate"),
        (["torn", "tls.key", "", ""], certificate, "cannot be read"),
        (["..data", "tls.key", "", ""], certificate, "not a file"),
        (["tls.crt", "text", "", ""], key, "no private key"),
        (["tls.crt", "tls.crt", "", ""], key, "no private key"),
        (["tls.key", "tls.crt", "", ""], certificate, "swapped?"),
        (["tls.crt", "tls.crt", "", ""], key, "swapped?"),
        (["tls.crt", "encrypted.key", "", ""], key, "openssl pkey"),
        (["tls.crt", "p521.key", "", ""], key, "not P-521"),
        (["tls.crt", "other.key", "", ""], key, "is not the key of"),
        (["tls.crt", "tls.key", "text", ""], ca, "no certificate"),
        (["tls.crt", "tls.key", "torn", ""], ca, "cannot be used"),
        (["", "", "", "none"], "--token-file", "No such file"),
        (["", "", "", "empty"], "--token-file", "is empty"),
        (["", "", "", "tls.key"], "--token-file", "line 1"),
    ] {
        let flags = CredentialFlags {
            tls_certificate_file: path(files[0]),
            tls_key_file: path(files[1]),
            tls_client_ca_file: path(files[2]),
            token_file: path(files[3]),
            ..CredentialFlags::default()
        };
        let error = flags.load().expect_err(part).to_string();
        assert!(error.starts_with(flag) && error.contains(part), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let good = mounted.tls().load().expect("a pair");
    let shown = format!("{good:?}");
    assert!(
        shown.contains("tls.key") && !shown.contains("BEGIN"),
        "{shown}"
    );
}
