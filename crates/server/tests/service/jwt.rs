//! JWTs as bearer tokens: projected tokens of Kubernetes' service accounts, by keys from a file and
//! over HTTPS, with the roles of the role file.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use digits_server::{CredentialFlags, MethodRoles, Role, Roles, ServerConfig};
use digits_testing::jwt::{SigningKey, key_set, service_account};
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::support::secrets::{Authority, Mounted};
use crate::support::{METHODS, Running, call, eventually, raw, series};

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const SAY: &str = METHODS[0];
const ROLES: MethodRoles = &[(SAY, Roles::of(&[Role::Train]))];
const RULES: &str = "\
# service accounts of the namespace digits
watch,train sub=system:serviceaccount:digits:ci
watch sub=system:serviceaccount:digits:*
";

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

fn account(name: &str) -> Value {
    service_account(ISSUER, "digits", name, now())
}

fn flags(mounted: &Mounted, keys: &str) -> CredentialFlags {
    CredentialFlags {
        role_file: Some(mounted.path("roles")),
        jwt_issuer: Some(ISSUER.to_owned()),
        jwt_audience: Some("digits".to_owned()),
        jwt_keys: Some(keys.to_owned()),
        ..CredentialFlags::default()
    }
}

fn config(flags: &CredentialFlags, interval: Duration) -> ServerConfig {
    ServerConfig {
        credentials: flags.load().expect("good files"),
        credentials_interval: interval,
        roles: ROLES,
        ..ServerConfig::default()
    }
}

async fn say(channel: &Channel, token: &str) -> Result<String, Status> {
    let mut request = Request::new("hello".to_owned());
    let value = format!("Bearer {token}").parse().expect("a header");
    request.metadata_mut().insert("authorization", value);
    call(channel.clone(), request, SAY).await
}

async fn refused(channel: &Channel, token: &str) -> (Code, String) {
    let status = say(channel, token).await.expect_err("refused");
    (status.code(), status.message().to_owned())
}

#[tokio::test]
async fn a_service_account_has_the_roles_of_its_line() {
    let (old, new) = (SigningKey::rsa("a"), SigningKey::ecdsa("b"));
    let keys = key_set(&[&old, &new]);
    let mut mounted = Mounted::new(&[("roles", RULES), ("keys", &keys), ("tokens", "alice abc\n")]);
    let file = mounted.path("keys");
    let flags = CredentialFlags {
        token_file: Some(mounted.path("tokens")),
        ..flags(&mounted, file.to_str().expect("UTF-8"))
    };
    let interval = Duration::from_millis(10);
    let server = Running::start("t_jwt", config(&flags, interval)).await;
    let channel = server.channel().await;

    let ci = old.sign(&account("ci"));
    for token in [&ci, &new.sign(&account("ci")), "abc"] {
        assert_eq!(say(&channel, token).await.expect(token), "hello");
        // The second time it is remembered.
        assert_eq!(say(&channel, token).await.expect(token), "hello");
    }
    let denied = refused(&channel, &old.sign(&account("web"))).await;
    let message = "Say needs one of the roles train,admin; the client \
                   jwt:system:serviceaccount:digits:web has watch";
    assert_eq!(denied, (Code::PermissionDenied, message.to_owned()));
    let mut foreign = account("ci");
    foreign["sub"] = json!("system:serviceaccount:other:ci");
    let (code, message) = refused(&channel, &old.sign(&foreign)).await;
    assert_eq!(code, Code::PermissionDenied);
    assert!(message.ends_with("has none"), "{message}");

    let mut expired = account("ci");
    expired["exp"] = json!(now() - 61);
    for (token, part) in [
        (
            old.sign(&service_account(ISSUER, "other", "ci", now())),
            "another audience",
        ),
        (
            old.sign(&service_account("https://other", "digits", "ci", now())),
            "another issuer",
        ),
        (
            old.sign(&service_account(ISSUER, "digits", "ci", now() + 600)),
            "not valid yet",
        ),
        (old.sign(&expired), "has expired"),
        (
            SigningKey::ecdsa("b").sign(&account("ci")),
            "signature is wrong",
        ),
        (SigningKey::ecdsa("c").sign(&account("ci")), "its key"),
        (
            new.sign_under(&json!({"alg": "none", "kid": "b"}), &account("ci")),
            "its algorithm",
        ),
        ("abcd".to_owned(), "does not know the token"),
    ] {
        let (code, message) = refused(&channel, &token).await;
        assert_eq!(code, Code::Unauthenticated, "{message}");
        assert!(message.contains(part), "{message}");
    }

    // A rule, or a key, that is gone is gone for remembered tokens too.
    let reloaded = r#"t_jwt_credentials_reloads_total{result="reloaded"}"#;
    let rules = RULES.replace("watch,train", "watch");
    mounted.swap(&[
        ("roles", &rules),
        ("keys", &keys),
        ("tokens", "alice abc\n"),
    ]);
    eventually("the roles are loaded", || series(reloaded) == Some(1.0)).await;
    assert_eq!(refused(&channel, &ci).await.0, Code::PermissionDenied);
    let keys = key_set(&[&new]);
    mounted.swap(&[("roles", RULES), ("keys", &keys), ("tokens", "alice abc\n")]);
    eventually("keys and roles are loaded", || {
        series(reloaded) == Some(3.0)
    })
    .await;
    assert_eq!(refused(&channel, &ci).await.0, Code::Unauthenticated);
    assert!(say(&channel, &new.sign(&account("ci"))).await.is_ok());
    // Keys that cannot be used change nothing.
    mounted.swap(&[("roles", RULES), ("keys", "{}"), ("tokens", "alice abc\n")]);
    let failed = r#"t_jwt_credentials_reloads_total{result="failed"}"#;
    eventually("it is counted", || series(failed) >= Some(1.0)).await;
    assert!(say(&channel, &new.sign(&account("ci"))).await.is_ok());
}

#[tokio::test]
async fn rest_takes_jwts_too() {
    let key = SigningKey::ecdsa("a");
    let mounted = Mounted::new(&[("roles", RULES), ("keys", &key_set(&[&key]))]);
    let file = mounted.path("keys");
    let flags = flags(&mounted, file.to_str().expect("UTF-8"));
    let rest = |_| axum::Router::new().route("/v2/say", post(async |body: String| body));
    let server = Running::start_with(
        "t_jwt_rest",
        config(&flags, Duration::from_secs(3600)),
        |server| server.with_http(rest),
        |routes| routes,
    )
    .await;
    let request = |token: &str| {
        format!(
            "POST /v2/say HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Length: 5\r\n\r\nhello"
        )
    };
    let answer = raw(
        server.address,
        request(&key.sign(&account("ci"))).as_bytes(),
    )
    .await;
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    let answer = raw(server.address, request("e30.e30.e30").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("not a JWT"), "{answer}");
}

/// The issuer's address of keys, as Kubernetes' /openid/v1/jwks.
struct Keys {
    /// What is answered; `None` is an outage.
    set: Mutex<Option<String>>,
    fetches: AtomicUsize,
}

impl Keys {
    fn new(set: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            set: Mutex::new(set),
            fetches: AtomicUsize::new(0),
        })
    }

    fn set(&self, set: Option<String>) {
        *self.set.lock().expect("no panic") = set;
    }

    async fn serve(
        self: &Arc<Self>,
        prefix: &'static str,
        authority: &Authority,
    ) -> (Running, Mounted) {
        let pair = authority.issue("issuer");
        let (certificate, key) = (&*pair.certificate, &*pair.key);
        let secrets = [
            ("tls.crt", certificate),
            ("tls.key", key),
            ("ca.crt", &*authority.pem),
            ("token", "pod-token\n"),
            ("roles", RULES),
        ];
        let mounted = Mounted::new(&secrets);
        let keys = Arc::clone(self);
        let answer = async move |headers: HeaderMap| {
            keys.fetches.fetch_add(1, SeqCst);
            if headers
                .get("authorization")
                .is_none_or(|it| it != "Bearer pod-token")
            {
                return Err(StatusCode::UNAUTHORIZED);
            }
            let set = keys.set.lock().expect("no panic").clone();
            set.ok_or(StatusCode::SERVICE_UNAVAILABLE)
        };
        let router = axum::Router::new().route("/openid/v1/jwks", get(answer));
        let config = ServerConfig {
            credentials: mounted.tls().load().expect("good files"),
            ..ServerConfig::default()
        };
        let pages = |server: digits_server::GrpcServer| server.with_pages(router);
        let running = Running::start_with(prefix, config, pages, |routes| routes).await;
        (running, mounted)
    }
}

fn fetching(issuer: &Running, mounted: &Mounted) -> CredentialFlags {
    let port = issuer.address.port();
    CredentialFlags {
        jwt_keys_ca_file: Some(mounted.path("ca.crt")),
        jwt_keys_token_file: Some(mounted.path("token")),
        ..flags(mounted, &format!("https://localhost:{port}/openid/v1/jwks"))
    }
}

#[tokio::test]
async fn keys_are_fetched_again_for_a_token_by_a_new_key() {
    let (old, new) = (SigningKey::rsa("a"), SigningKey::ecdsa("b"));
    let keys = Keys::new(None);
    let (issuer, mounted) = keys.serve("t_issuer", &Authority::new("one")).await;
    let flags = fetching(&issuer, &mounted);
    let server = Running::start("t_jwks", config(&flags, Duration::from_millis(10))).await;
    let channel = server.channel().await;
    let token = old.sign(&account("ci"));

    // The service starts without its issuer, and says that it cannot decide.
    let (code, message) = refused(&channel, &token).await;
    assert_eq!(code, Code::Unavailable, "{message}");
    let failed = r#"t_jwks_credentials_reloads_total{result="failed"}"#;
    eventually("failures are counted", || series(failed) >= Some(1.0)).await;
    keys.set(Some(key_set(&[&old])));
    let reloaded = r#"t_jwks_credentials_reloads_total{result="reloaded"}"#;
    eventually("the keys are fetched", || series(reloaded) == Some(1.0)).await;
    assert_eq!(say(&channel, &token).await.expect("known"), "hello");

    // The request waits for the new key, where a fetch is due.
    keys.set(Some(key_set(&[&old, &new])));
    let by_new = new.sign(&account("ci"));
    let accepted = digits_testing::until("the new key is known", async || {
        Ok(say(&channel, &by_new).await.ok())
    });
    assert_eq!(accepted.await.expect("accepted"), "hello");

    // During an outage the keys stay.
    keys.set(None);
    let failures = series(failed);
    assert!(
        say(&channel, &SigningKey::ecdsa("c").sign(&account("ci")))
            .await
            .is_err()
    );
    eventually("the outage is noticed", || series(failed) > failures).await;
    for token in [&token, &by_new, &new.sign(&account("web-2"))] {
        let code = say(&channel, token).await.err().map(|status| status.code());
        assert_ne!(code, Some(Code::Unauthenticated), "{token}");
    }
}

#[tokio::test]
async fn a_request_waits_for_the_first_keys() {
    let key = SigningKey::ecdsa("a");
    let keys = Keys::new(Some(key_set(&[&key])));
    let (issuer, mounted) = keys.serve("t_issuer_first", &Authority::new("one")).await;
    let flags = fetching(&issuer, &mounted);
    let server = Running::start("t_jwks_first", config(&flags, Duration::from_secs(3600))).await;
    let channel = server.channel().await;
    assert_eq!(
        say(&channel, &key.sign(&account("ci")))
            .await
            .expect("waited"),
        "hello"
    );
}

#[tokio::test]
async fn unknown_keys_cause_a_bounded_number_of_fetches() {
    let key = SigningKey::ecdsa("a");
    let keys = Keys::new(Some(key_set(&[&key])));
    let (issuer, mounted) = keys.serve("t_issuer_flood", &Authority::new("one")).await;
    let flags = fetching(&issuer, &mounted);
    // The next fetch would be due in two hours.
    let server = Running::start("t_jwks_flood", config(&flags, Duration::from_secs(3600))).await;
    let channel = server.channel().await;
    let unknown = SigningKey::ecdsa("x").sign(&account("ci"));
    for _ in 0..50 {
        let (code, message) = refused(&channel, &unknown).await;
        assert_eq!(code, Code::Unauthenticated, "{message}");
    }
    assert_eq!(keys.fetches.load(SeqCst), 1);
    assert!(say(&channel, &key.sign(&account("ci"))).await.is_ok());
}

#[test]
fn flags_that_do_not_fit_together_are_refused() {
    let key = key_set(&[&SigningKey::ecdsa("a")]);
    let mounted = Mounted::new(&[("roles", RULES), ("keys", &key), ("bad", "watch DNS:a\n")]);
    let file = mounted.path("keys").display().to_string();
    let good = || flags(&mounted, &file);
    assert!(good().load().is_ok());
    let without = |change: fn(&mut CredentialFlags)| {
        let mut flags = good();
        change(&mut flags);
        flags
    };
    for (flags, expected) in [
        (
            without(|it| it.jwt_issuer = None),
            "--jwt-audience needs --jwt-issuer",
        ),
        (
            without(|it| it.jwt_audience = None),
            "--jwt-issuer needs --jwt-audience",
        ),
        (
            without(|it| it.jwt_keys = None),
            "--jwt-issuer needs --jwt-keys",
        ),
        (
            without(|it| it.role_file = None),
            "--jwt-issuer needs --role-file",
        ),
        (
            without(|it| it.jwt_keys = Some("http://issuer.example/".to_owned())),
            "--jwt-keys http://issuer.example/: must be a file, or an https:// address",
        ),
        (
            without(|it| it.jwt_keys_ca_file = it.role_file.clone()),
            "is a file: --jwt-keys-ca-file and",
        ),
        (
            CredentialFlags {
                role_file: Some(mounted.path("bad")),
                ..good()
            },
            "line 1: names a client certificate, which needs --tls-client-ca-file",
        ),
        (
            CredentialFlags {
                role_file: Some(mounted.path("roles")),
                ..CredentialFlags::default()
            },
            "--role-file needs --tls-client-ca-file or --jwt-issuer",
        ),
    ] {
        let error = flags.load().expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
