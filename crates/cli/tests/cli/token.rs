//! `digits token create`.

use digits_checkpoint::sha256_hex;
use serde_json::Value;
use std::process::{Command, Output};

fn create(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_digits"))
        .args(["token", "create"])
        .args(arguments)
        .output()
        .expect("the binary starts")
}

#[test]
fn a_token_is_printed_with_the_line_for_the_services() {
    let document = || -> Value {
        let output = create(&["ci", "--roles", "watch,train", "--json"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("a document")
    };
    let (first, second) = (document(), document());
    assert_ne!(first["token"], second["token"]);
    let token = first["token"].as_str().expect("a token");
    assert_eq!(token.len(), "digits_".len() + 64);
    let digest = sha256_hex(token.as_bytes());
    assert_eq!(first["line"], format!("ci watch,train {digest}"));

    let text = create(&["ci", "--roles", "admin"]).stdout;
    let text = String::from_utf8(text).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    let digest = sha256_hex(lines[1].trim().as_bytes());
    assert_eq!(lines[3].trim(), format!("ci admin {digest}"));
}

#[test]
fn names_and_roles_are_checked() {
    for (arguments, part) in [
        (&["ci"][..], "--roles"),
        (
            &["ci", "--roles", "root"],
            "predict, watch, train, promote, admin",
        ),
        (&["a b", "--roles", "admin"], "1 to 63"),
    ] {
        let output = create(arguments);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(part), "{text}");
    }
}
