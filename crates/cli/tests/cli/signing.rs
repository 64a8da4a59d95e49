//! `digits key` and `digits sign`, and changes of a storage that are signed.

use crate::storage::Fixture;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

/// The first test key of RFC 8032.
const PRIVATE: &str = include_str!("../../../checkpoint/tests/golden/ed25519-private.pem");
const PUBLIC: &str = include_str!("../../../checkpoint/tests/golden/ed25519-public.pem");

fn key(command: &str, file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_digits"))
        .args(["key", command])
        .arg(file)
        .output()
        .expect("the binary starts")
}

#[test]
fn a_key_is_created_for_its_owner_alone_and_never_over_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let (private, public) = (folder.path().join("key.pem"), folder.path().join("public"));
    let created = key("create", &private);
    assert!(created.status.success(), "{created:?}");
    let mode = fs::metadata(&private).expect("written").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    fs::write(&public, &created.stdout).expect("written");
    for file in [&private, &public] {
        assert_eq!(key("show", file).stdout, created.stdout);
    }
    let before = fs::read(&private).expect("a key");
    assert_eq!(key("create", &private).status.code(), Some(73));
    assert_eq!(fs::read(&private).expect("a key"), before);
}

#[test]
fn keys_are_shown_with_their_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.pem");
    for content in [PRIVATE, PUBLIC] {
        fs::write(&file, content).expect("written");
        let shown = String::from_utf8(key("show", &file).stdout).expect("text");
        assert_eq!(shown, format!("key 21fe31dfa154a261\n{PUBLIC}"));
    }
    fs::write(&file, "no key").expect("written");
    let output = key("show", &file);
    assert_eq!(output.status.code(), Some(66));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("no public key in PEM"), "{text}");
}

#[tokio::test]
async fn a_storage_is_signed_and_changed_with_a_key() {
    let fixture = Fixture::new().await;
    let key = fixture.dir.path().join("key.pem");
    fs::write(&key, PRIVATE).expect("written");
    let key = key.display().to_string();
    let with_key = |arguments: &[&'static str]| {
        let key = ["--signing-key", &key].map(str::to_owned);
        let arguments = arguments.iter().map(|&it| it.to_owned());
        arguments.chain(key).collect::<Vec<_>>()
    };
    let signed = |arguments: &[&'static str]| {
        let arguments = with_key(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        fixture.document(&arguments)["sequence"].clone()
    };
    assert_eq!(signed(&["sign"]), 3);
    assert_eq!(signed(&["sign", "--by", "me"]), 0, "already");
    assert_eq!(signed(&["rollback", "--to", "3"]), 4);
    assert_eq!(signed(&["release"]), 5);

    // What nobody signed is neither promoted nor rolled back to, but on request.
    for arguments in [["promote", "latest"], ["rollback", "--to=1"]] {
        let refused = with_key(&arguments);
        let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
        fixture.error(&refused, 1, "it is not signed");
    }
    assert_eq!(signed(&["rollback", "--to=1", "--allow-unsigned"]), 6);
    assert_eq!(signed(&["promote", "latest", "--allow-unsigned"]), 7);
    let document = fixture.document(&["rollback", "--to", "6"]);
    assert_eq!(document["sequence"], 8, "without a key");
    let refused = with_key(&["sign"]);
    let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
    fixture.error(&refused, 1, "record 7 is signed, and record 8");
    fixture.error(&["sign", "--signing-key", "/no/key"], 66, "/no/key");
}
