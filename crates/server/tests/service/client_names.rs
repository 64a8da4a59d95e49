//! Client certificates as identities: their names have the roles of the role file.

use std::time::Duration;

use digits_server::{CredentialFlags, MethodRoles, Role, Roles, ServerConfig};
use rcgen::SanType;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request};

use crate::support::secrets::{Authority, Mounted, Pair};
use crate::support::{METHODS, Running, call, eventually, series, within};

const SAY: &str = METHODS[0];
const ROLES: MethodRoles = &[(SAY, Roles::of(&[Role::Train]))];
const RULES: &str = "\
watch DNS:*
train URI:spiffe://cluster.local/ns/digits/*
admin email:root@example.com
";

async fn channel(server: &Running, authority: &Authority, pair: &Pair) -> Channel {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&authority.pem))
        .domain_name("localhost")
        .identity(Identity::from_pem(&pair.certificate, &pair.key));
    let endpoint = Endpoint::from_shared(format!("https://{}", server.address));
    let endpoint = endpoint.and_then(|endpoint| endpoint.tls_config(tls));
    within(endpoint.expect("an endpoint").connect())
        .await
        .expect("connected")
}

async fn say(channel: &Channel, token: Option<&str>) -> Result<(), (Code, String)> {
    let mut request = Request::new("hello".to_owned());
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", value);
    }
    let said = call(channel.clone(), request, SAY).await;
    said.map(|_| ())
        .map_err(|status| (status.code(), status.message().to_owned()))
}

#[tokio::test]
async fn a_certificate_has_the_roles_of_its_names() {
    let authority = Authority::new("one");
    let own = authority.issue("server");
    let files = |rules: &'static str| {
        [
            ("tls.crt", own.certificate.as_str()),
            ("tls.key", own.key.as_str()),
            ("ca.crt", authority.pem.as_str()),
            ("roles", rules),
            ("tokens", "alice abc\n"),
        ]
    };
    let mut mounted = Mounted::new(&files(RULES));
    let flags = CredentialFlags {
        tls_client_ca_file: Some(mounted.path("ca.crt")),
        role_file: Some(mounted.path("roles")),
        token_file: Some(mounted.path("tokens")),
        ..mounted.tls()
    };
    let config = ServerConfig {
        credentials: flags.load().expect("good files"),
        credentials_interval: Duration::from_millis(10),
        roles: ROLES,
        ..ServerConfig::default()
    };
    let server = Running::start("t_names", config).await;
    let with_names =
        async |names: Vec<SanType>| channel(&server, &authority, &authority.issue_for(names)).await;
    let uri = |text: &str| SanType::URI(text.try_into().expect("ASCII"));
    let dns = |text: &str| SanType::DnsName(text.try_into().expect("ASCII"));
    let email = |text: &str| SanType::Rfc822Name(text.try_into().expect("ASCII"));

    let ci = with_names(vec![uri("spiffe://cluster.local/ns/digits/sa/ci")]).await;
    assert_eq!(say(&ci, None).await, Ok(()));
    let root = with_names(vec![dns("a.example"), email("root@example.com")]).await;
    assert_eq!(say(&root, None).await, Ok(()));
    let host = with_names(vec![dns("a.example")]).await;
    let message = "Say needs one of the roles train,admin; the client DNS:a.example has watch";
    let denied = Err((Code::PermissionDenied, message.to_owned()));
    assert_eq!(say(&host, None).await, denied);
    // A token counts before the certificate, also a wrong one.
    assert_eq!(say(&host, Some("abc")).await, Ok(()));
    let (code, _) = say(&ci, Some("abd")).await.expect_err("unknown");
    assert_eq!(code, Code::Unauthenticated);
    let foreign = with_names(vec![uri("spiffe://cluster.local/ns/other/sa/ci")]).await;
    let (code, message) = say(&foreign, None).await.expect_err("unknown");
    assert_eq!(code, Code::Unauthenticated);
    assert!(message.contains("knows no name"), "{message}");
    assert_eq!(say(&foreign, Some("abc")).await, Ok(()));

    // Open connections have the new roles.
    mounted.swap(&files("watch URI:spiffe://cluster.local/*\n"));
    let reloaded = r#"t_names_credentials_reloads_total{result="reloaded"}"#;
    eventually("the roles are loaded", || series(reloaded) == Some(1.0)).await;
    assert_eq!(
        say(&ci, None).await.expect_err("denied").0,
        Code::PermissionDenied
    );
    assert_eq!(
        say(&root, None).await.expect_err("unknown").0,
        Code::Unauthenticated
    );
}
