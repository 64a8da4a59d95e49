//! The admin port behind TLS and a token.

use std::net::SocketAddr;
use std::sync::Arc;

use digits_service::{Error, Foundation};
use digits_testing::roles::TOKEN_FILE;
use rcgen::{CertificateParams, KeyPair};
use reqwest::{Client, StatusCode};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use super::{Flags, INFO, check, start};
use clap::Parser as _;

struct Files {
    folder: tempfile::TempDir,
    client: Client,
}

impl Files {
    /// A certificate, its key and tokens.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        write("tls.crt", &certificate.pem());
        write("tls.key", &key.serialize_pem());
        write("tokens", TOKEN_FILE);
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("a root");
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder().no_proxy().tls_backend_preconfigured(tls);
        Self {
            folder,
            client: client.build().expect("a client"),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Flags for TLS and tokens, with this access to the admin port.
    fn flags(&self, access: &str) -> Vec<String> {
        let (certificate, key) = (self.path("tls.crt"), self.path("tls.key"));
        [
            ("--tls-certificate-file", certificate),
            // Its clients have no certificates.
            ("--tls-client-ca-file", self.path("tls.crt")),
            ("--tls-key-file", key),
            ("--token-file", self.path("tokens")),
            ("--admin-access", access.to_owned()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect()
    }

    async fn get(&self, admin: SocketAddr, path: &str, token: Option<&str>) -> StatusCode {
        let url = format!("https://localhost:{}{path}", admin.port());
        let request = self.client.get(url);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.expect("answered").status()
    }
}

#[tokio::test]
async fn metrics_need_a_token_over_tls_and_probes_need_none() {
    let files = Files::new();
    let flags = files.flags("tls-token");
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let service = start(&flags).await;
    let admin = service.admin;
    for (token, status) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("wrong"), StatusCode::UNAUTHORIZED),
        (Some("predict"), StatusCode::FORBIDDEN),
        (Some("watch"), StatusCode::OK),
        (Some("admin"), StatusCode::OK),
    ] {
        assert_eq!(
            files.get(admin, "/metrics", token).await,
            status,
            "{token:?}"
        );
    }
    assert_eq!(files.get(admin, "/livez", None).await, StatusCode::OK);
    let unready = files.get(admin, "/readyz", None).await;
    assert_eq!(unready, StatusCode::SERVICE_UNAVAILABLE);
    // The health check speaks TLS by itself.
    assert!(matches!(check(admin).await, Err(Error::NotReady(_))));
    let plain = files.client.get(format!("http://{admin}/livez"));
    assert!(plain.send().await.is_err());
    service.running.close().await;
}

#[tokio::test]
async fn access_needs_what_it_uses() {
    for (access, part) in [
        ("tls", "needs --tls-certificate-file"),
        ("tls-token", "needs --tls-certificate-file"),
        ("token", "needs --token-file or --jwt-issuer"),
    ] {
        let flags = Flags::try_parse_from(["test", "--admin-access", access]).expect("flags");
        let refused = Foundation::new(INFO, &flags.service).err().expect(access);
        assert!(refused.line().contains(part), "{}", refused.line());
    }
}
