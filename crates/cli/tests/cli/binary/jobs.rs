//! Submitting, watching, listing, drawing; and errors of every command.

use super::{Fixture, err, out};
use digits_testing::services::{CHECKPOINT, EVENTS, JOB};
use serde_json::json;

#[tokio::test]
async fn train_submits_again_and_watches_to_the_end() {
    let fixture = Fixture::new().await;
    let output = fixture.run(&["train", "--name", "try"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    let expected = [
        &format!("job {JOB}  queued  7,960 parameters (31,840 bytes)"),
        "queued",
        "running on cpu",
        " epoch    step  train loss    val loss  accuracy   images/s",
        "     1       1    2.000000    2.000000    50.0 %    123,456",
        "     1     101    1.000000    1.000000    75.0 %    123,456",
    ];
    assert_eq!(text.lines().take(6).collect::<Vec<_>>(), expected);
    let end = [
        &format!("checkpoint {CHECKPOINT} of epoch 2, serving record 3"),
        "succeeded: test accuracy 90.0 %, loss 0.351287 (10,000 images)",
    ];
    assert_eq!(text.lines().skip(9).collect::<Vec<_>>(), end);
    assert!(err(&output).contains("trying again"));
}

#[tokio::test]
async fn train_prints_events_as_json_lines() {
    let fixture = Fixture::new().await;
    let lines = fixture.documents(&["--json", "train"]).await;
    assert_eq!(lines[0]["job"]["job_id"], JOB);
    let sequences: Vec<_> = lines[1..]
        .iter()
        .map(|it| it["sequence"].as_u64())
        .collect();
    assert_eq!(sequences, (1..=EVENTS).map(Some).collect::<Vec<_>>());
    assert_eq!(lines[3]["row"]["train_loss"], 2.0);
    assert_eq!(lines[9]["finished"]["state"], "JOB_STATE_SUCCEEDED");
    let detached = fixture.documents(&["train", "--detach", "--json"]).await;
    assert_eq!(detached.len(), 1);
}

#[tokio::test]
async fn an_error_is_one_line_and_its_flags() {
    let fixture = Fixture::new().await;
    fixture.run(&["train", "--detach"]).await;
    fixture
        .check_error(
            &["train", "--batch-size", "0"],
            64,
            &[
                "digits: the trainer refused the request:",
                "  --batch-size: must be at least 1, not 0",
            ],
        )
        .await;
    let output = fixture.run(&["train", "--epochs", "many"]).await;
    assert_eq!(output.status.code(), Some(64));
    let text = err(&output);
    assert!(
        text.contains("takes a whole number from 1 to 10,000"),
        "{text}"
    );
    fixture
        .check_error(
            &["jobs", CHECKPOINT],
            1,
            &[&format!("digits: trainer: no job \"{CHECKPOINT}\"")],
        )
        .await;
    let url = &fixture.url;
    let unimplemented = format!(
        "digits: the trainer at {url} is of an older version, which does not offer this command"
    );
    fixture
        .check_error(&["rollback"], 1, &[&unimplemented])
        .await;
    fixture
        .check_error(
            &["promote", CHECKPOINT, "--expected-sequence", "2"],
            1,
            &["digits: trainer: the newest record is 3"],
        )
        .await;
    fixture
        .check_error(
            &["drop", "--expected-sequence", "2"],
            1,
            &["digits: trainer: the newest record is 3"],
        )
        .await;
    fixture
        .check_error(
            &["plot", JOB, "-o", "a.pdf"],
            64,
            &["digits: a.pdf: name the file .svg or .png"],
        )
        .await;
    assert_eq!(fixture.run(&["nonsense"]).await.status.code(), Some(64));
    for (command, similar) in [("trian", "train"), ("modle", "model")] {
        let output = fixture.run(&[command]).await;
        assert_eq!(output.status.code(), Some(64));
        assert!(
            err(&output).contains(&format!("'{similar}'")),
            "{}",
            err(&output)
        );
    }
    assert_eq!(fixture.run(&["--help"]).await.status.code(), Some(0));
}

#[tokio::test]
async fn an_unreachable_service_is_named_with_the_remedy() {
    let fixture = Fixture::new().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let url = format!("http://{}", port.expect("a port"));
    for (command, service, binary) in [
        ("jobs", "trainer", "digits-trainer"),
        ("model", "inference service", "digits-inference"),
    ] {
        let output = fixture.run_at(&url, &[command]).await;
        assert_eq!(output.status.code(), Some(69));
        let text = err(&output);
        assert!(
            text.starts_with(&format!("digits: the {service} does not answer at {url}\n")),
            "{text}"
        );
        assert!(text.contains(&format!("`{binary}`")), "{text}");
    }
}

#[tokio::test]
async fn lists_and_details_have_both_forms() {
    let fixture = Fixture::new().await;
    let jobs = fixture.documents(&["jobs", "--json"]).await;
    assert_eq!(jobs[0]["jobs"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        fixture.documents(&["jobs", JOB, "--json"]).await[0]["test"]["correct"],
        9_000
    );
    assert_eq!(
        fixture.documents(&["cancel", JOB, "--json"]).await[0]["state"],
        "JOB_STATE_CANCELLED"
    );
    assert_eq!(
        fixture.documents(&["presets", "--json"]).await[0]["presets"][0]["name"],
        "notebook"
    );
    assert_eq!(
        fixture.documents(&["datasets", "--json"]).await[0]["datasets"][0]["height"],
        28
    );
    assert_eq!(
        fixture.documents(&["model", "--json"]).await[0]["served"][0]["sequence"],
        3
    );
    let checkpoints = fixture.documents(&["checkpoints", "--json"]).await;
    assert_eq!(
        checkpoints[0]["checkpoints"][0]["checkpoint_id"],
        CHECKPOINT
    );
    assert_eq!(
        fixture.documents(&["serving", "--json"]).await[0]["records"][0]["sequence"],
        3
    );
    // Without --expected-sequence it is looked up.
    assert_eq!(
        fixture.documents(&["promote", CHECKPOINT, "--json"]).await[0]["sequence"],
        4
    );
    // The primary is promoted again, which ends the canary.
    let dropped = &fixture.documents(&["drop", "--json"]).await[0];
    assert_eq!(dropped["sequence"], 4);
    assert_eq!(dropped["routes"][0]["checkpoint_id"], CHECKPOINT);
    assert_eq!(dropped["routes"][0]["role"], "SERVING_ROLE_PRIMARY");
    for command in [
        "jobs",
        "presets",
        "datasets",
        "model",
        "checkpoints",
        "serving",
    ] {
        let output = fixture.run(&[command]).await;
        assert_eq!(output.status.code(), Some(0), "{command}: {}", err(&output));
        assert!(
            out(&output).is_ascii() && out(&output).lines().count() >= 2,
            "{command}"
        );
    }
}

#[tokio::test]
async fn jobs_and_checkpoints_are_named_by_start_name_and_latest() {
    let fixture = Fixture::new().await;
    for text in [JOB, "0190a0b0", "0190A0B0-0", "try", "latest"] {
        for command in ["jobs", "watch", "cancel", "plot"] {
            let documents = fixture.documents(&[command, text, "--json"]).await;
            assert!(!documents.is_empty(), "{command} {text}");
        }
        let list = ["checkpoints", "--job", text, "--json"];
        let listed = fixture.documents(&list).await;
        assert_eq!(listed[0]["checkpoints"][0]["checkpoint_id"], CHECKPOINT);
    }
    for text in ["0190a0b0", "latest"] {
        let shown = &fixture.documents(&["checkpoints", text, "--json"]).await[0];
        assert_eq!(shown["checkpoint_id"], CHECKPOINT);
        let promoted = &fixture.documents(&["promote", text, "--json"]).await[0];
        assert_eq!(promoted["routes"][0]["checkpoint_id"], CHECKPOINT);
        fixture.documents(&["report", text, "--json"]).await;
        fixture
            .documents(&["train", "--detach", "--json", "--init-from", text])
            .await;
    }
    fixture
        .check_error(
            &["watch", "tri"],
            64,
            &["digits: there is no job \"tri\"; did you mean \"try\"?"],
        )
        .await;
    let unknown = "digits: there is no checkpoint \"x\": give an id (a UUID), the start of one, the name of a job or \
                   latest; `digits checkpoints` lists them";
    for command in ["promote", "report", "reproduce"] {
        fixture.check_error(&[command, "x"], 64, &[unknown]).await;
    }
    let unknown_job = uuid::Uuid::nil().to_string();
    let list = ["checkpoints", "--job", &unknown_job];
    let message = format!("digits: trainer: no job {unknown_job:?}");
    fixture.check_error(&list, 1, &[&message]).await;
}

#[tokio::test]
async fn lists_and_details_mark_what_serves() {
    let fixture = Fixture::new().await;
    let text = out(&fixture.run(&["checkpoints"]).await);
    assert!(
        text.contains("serves") && text.contains("primary"),
        "{text}"
    );
    let text = out(&fixture.run(&["checkpoints", CHECKPOINT]).await);
    assert!(text.contains("served as primary, by record 3"), "{text}");
    let text = out(&fixture.run(&["jobs"]).await);
    assert!(
        text.contains("serves") && text.contains("primary"),
        "{text}"
    );
    let text = out(&fixture.run(&["jobs", JOB]).await);
    let expected = format!("{CHECKPOINT} as primary of digits, by record 3");
    assert!(text.contains(&expected), "{text}");
}

#[tokio::test]
async fn plots_go_to_files_and_to_the_terminal() {
    let fixture = Fixture::new().await;
    let written = fixture
        .documents(&["plot", JOB, "-o", "curves.svg", "--json"])
        .await;
    assert_eq!(
        (&written[0]["path"], &written[0]["rows"]),
        (&json!("curves.svg"), &json!(5))
    );
    let svg = std::fs::read_to_string(fixture.dir.path().join("curves.svg")).expect("written");
    assert!(svg.starts_with("<svg") && svg.contains("validation loss"));
    fixture
        .run(&[
            "plot",
            JOB,
            "-o",
            "curves.png",
            "--width",
            "400",
            "--height",
            "300",
        ])
        .await;
    let png = image::open(fixture.dir.path().join("curves.png")).expect("a PNG");
    assert_eq!((png.width(), png.height()), (400, 300));
    assert!(out(&fixture.run(&["plot", JOB]).await).contains("t train loss"));
    let rows = fixture.documents(&["plot", JOB, "--json"]).await;
    assert_eq!(rows[0]["total_rows"], 5);
}

#[tokio::test]
async fn completions_and_man_pages_cover_every_command() {
    let fixture = Fixture::new().await;
    for shell in ["bash", "zsh", "fish"] {
        let script = out(&fixture.run(&["completions", shell]).await);
        for word in ["train", "dataset", "early-stopping", "latest"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let bash = out(&fixture.run(&["completions", "bash"]).await);
    let script = fixture.dir.path().join("digits.bash");
    std::fs::write(&script, bash).expect("written");
    let complete = "source digits.bash; COMP_WORDS=(digits tr); COMP_CWORD=1; _digits digits tr digits; echo $COMPREPLY";
    let output = tokio::process::Command::new("bash")
        .args(["-c", complete])
        .current_dir(fixture.dir.path())
        .output()
        .await
        .expect("bash starts");
    assert_eq!(out(&output).trim(), "train", "{}", err(&output));

    let written = fixture.documents(&["man", "pages", "--json"]).await;
    assert_eq!(written[0]["folder"], "pages");
    for page in ["digits.1", "digits-train.1", "digits-dataset-push.1"] {
        let text = std::fs::read_to_string(fixture.dir.path().join("pages").join(page));
        assert!(text.is_ok_and(|it| it.contains(".SH NAME")), "{page}");
    }
    let help = out(&fixture.run(&["train", "--help"]).await);
    assert!(
        help.contains("Regularization:") && help.contains("Examples:"),
        "{help}"
    );
    for arguments in [vec!["--version"], vec!["train", "--version"]] {
        let output = fixture.run(&arguments).await;
        assert_eq!(output.status.code(), Some(0));
        assert!(out(&output).starts_with("digits"), "{}", out(&output));
    }
}

#[tokio::test]
async fn a_closed_pipe_is_no_failure() {
    let fixture = Fixture::new().await;
    let command = format!("'{}' train | head -n 1", env!("CARGO_BIN_EXE_digits"));
    let output = tokio::process::Command::new("bash")
        .args(["-c", &format!("set -o pipefail; {command}")])
        .env("DIGITS_TRAINER", &fixture.url)
        .output()
        .await
        .expect("bash starts");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(!err(&output).contains("panicked"));
}
