//! Roles: what a token opens, and the audit log of calls that may change something.

use std::path::Path;

use digits_server::{AuditLog, CredentialFlags, MethodRoles, Role, Roles, ServerConfig};
use sha2::{Digest as _, Sha256};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::support::secrets::Mounted;
use crate::support::{METHODS, Running, call, count, eventually};

const SAY: &str = METHODS[0];
const ROLES: MethodRoles = &[
    (METHODS[0], Roles::of(&[Role::Train, Role::Promote])),
    (METHODS[1], Roles::of(&[Role::Watch, Role::Train])),
];

fn line(name: &str, roles: &str, token: &str) -> String {
    let digest: String = Sha256::digest(token)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{name} {roles} {digest}\n")
}

async fn start(prefix: &'static str, tokens: &str, audit_log: Option<AuditLog>) -> Running {
    let mounted = Mounted::new(&[("tokens", tokens)]);
    let flags = CredentialFlags {
        token_file: Some(mounted.path("tokens")),
        ..CredentialFlags::default()
    };
    let config = ServerConfig {
        credentials: flags.load().expect("good tokens"),
        roles: ROLES,
        audit_log,
        ..ServerConfig::default()
    };
    Running::start(prefix, config).await
}

async fn say(channel: &Channel, token: &str) -> Result<String, Status> {
    let mut request = Request::new("hello".to_owned());
    let value = format!("Bearer {token}").parse().expect("a header");
    request.metadata_mut().insert("authorization", value);
    let id = "r-7".parse().expect("a header");
    request.metadata_mut().insert("x-request-id", id);
    call(channel.clone(), request, SAY).await
}

#[tokio::test]
async fn a_token_opens_the_methods_of_its_roles() {
    let mut tokens = "everybody everything\n".to_owned();
    for role in [
        "predict",
        "watch",
        "train",
        "promote",
        "admin",
        "watch,promote",
    ] {
        tokens.push_str(&line(&role.replace(',', "-"), role, role));
    }
    let server = start("t_roles", &tokens, None).await;
    let channel = server.channel().await;
    for token in ["everything", "train", "promote", "admin"] {
        assert_eq!(say(&channel, token).await.expect(token), "hello");
    }
    for token in ["predict", "watch"] {
        let refused = say(&channel, token).await.expect_err(token);
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
        let message = format!(
            "Say needs one of the roles train,promote,admin; the client {token} has {token}"
        );
        assert_eq!(refused.message(), message);
    }
    let unknown = say(&channel, "nothing").await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::Unauthenticated);
}

fn lines(file: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(file).expect("the audit log");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

#[tokio::test]
async fn calls_that_may_change_something_are_audited() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.jsonl");
    let log = AuditLog::open(&file).expect("writable");
    let tokens = line("alice", "train", "abc") + &line("bob", "watch", "def");
    let server = start("t_audit", &tokens, Some(log)).await;
    let channel = server.channel().await;
    assert!(say(&channel, "abc").await.is_ok());
    assert!(say(&channel, "def").await.is_err());
    // One that changes nothing, and one of nobody.
    assert!(count(channel.clone(), "3").await.is_err());
    assert!(say(&channel, "ghi").await.is_err());
    eventually("both lines are written", || lines(&file).len() == 2).await;
    let lines = lines(&file);
    for (line, who, result) in [
        (&lines[0], "alice", "OK"),
        (&lines[1], "bob", "PERMISSION_DENIED"),
    ] {
        assert_eq!(line["who"], who);
        assert_eq!(line["result"], result);
        assert_eq!(line["method"], "Say");
        assert_eq!(line["from"], "127.0.0.1");
        assert_eq!(line["request_id"], "r-7");
        assert!(line["at"].is_string(), "{line}");
    }
    // Rotated: the next line begins a new file.
    std::fs::rename(&file, folder.path().join("audit.1")).expect("renamed");
    assert!(say(&channel, "abc").await.is_ok());
    eventually("a line is written", || {
        file.exists() && self::lines(&file).len() == 1
    })
    .await;
}
