//! The binary `digits` against services in this process: output, JSON and exit codes.

mod services;

use serde_json::{Value, json};
use services::{CHECKPOINT, EVENTS, JOB, Trainer};
use std::{process::Output, sync::Arc};
use tempfile::TempDir;

struct Fixture {
    url: String,
    dir: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let url = services::start(Arc::new(Trainer::default())).await;
        Self {
            url,
            dir: tempfile::tempdir().expect("a folder"),
        }
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.run_at(&self.url, arguments).await
    }

    async fn run_at(&self, url: &str, arguments: &[&str]) -> Output {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_digits"))
            .args(arguments)
            .env("DIGITS_TRAINER", url)
            .env("DIGITS_INFERENCE", url)
            .env("LC_ALL", "C")
            .current_dir(self.dir.path())
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .expect("the binary starts")
    }

    async fn documents(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(arguments).await;
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            err(&output)
        );
        out(&output)
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    async fn check_error(&self, arguments: &[&str], code: i32, lines: &[&str]) {
        let output = self.run(arguments).await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            err(&output)
        );
        assert_eq!(
            err(&output).lines().collect::<Vec<_>>(),
            lines,
            "{arguments:?}"
        );
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

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
async fn train_as_json_lines() {
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
async fn errors_are_one_clear_line_and_their_fields() {
    let fixture = Fixture::new().await;
    fixture.run(&["train", "--detach"]).await;
    fixture
        .check_error(
            &["train", "--epochs", "0"],
            64,
            &[
                "digits: the trainer refused the request:",
                "  spec.epochs: must be 1 to 10,000, not 0",
            ],
        )
        .await;
    fixture
        .check_error(&["jobs", "x"], 1, &["digits: trainer: no job \"x\""])
        .await;
    let url = &fixture.url;
    let unimplemented = format!("digits: the trainer at {url} does not offer this yet: Rollback");
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
async fn lists_and_details() {
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
    // The primary is promoted again, which ends the canary beside it.
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
async fn predict_reads_files_and_says_what_is_wrong_with_them() {
    let fixture = Fixture::new().await;
    std::fs::write(fixture.dir.path().join("a.png"), "anything").expect("written");
    let answers = fixture
        .documents(&["predict", "a.png", "a.png", "--json"])
        .await;
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["prediction"]["verdict"], "VERDICT_BLANK");
    assert_eq!(
        (&answers[0]["source"], &answers[0]["truth"]),
        (&json!("a.png"), &Value::Null)
    );
    assert_eq!(answers[0]["served_by"]["sequence"], 3);
    assert!(out(&fixture.run(&["predict", "a.png"]).await).starts_with("a.png  blank: no ink"));
    let missing = fixture.run(&["predict", "none.png"]).await;
    assert_eq!(missing.status.code(), Some(66));
    assert!(err(&missing).starts_with("digits: none.png: "));
    assert_eq!(
        fixture.run(&["predict", "mnist:test"]).await.status.code(),
        Some(64)
    );
}

#[tokio::test]
async fn evaluate_measures_a_folder_of_idx_files() {
    let fixture = Fixture::new().await;
    let file = |name: &str, head: &[u8], count: u8, body: Vec<u8>| {
        let mut bytes = vec![0, 0, 8, head.len() as u8 + 1, 0, 0, 0, count];
        head.iter().for_each(|&side| bytes.extend([0, 0, 0, side]));
        bytes.extend(body);
        std::fs::write(fixture.dir.path().join(name), bytes).expect("written");
    };
    for part in ["train", "t10k"] {
        file(
            &format!("{part}-images-idx3-ubyte"),
            &[2, 2],
            3,
            vec![9; 12],
        );
        file(&format!("{part}-labels-idx1-ubyte"), &[], 3, vec![7, 7, 1]);
    }
    let path = fixture.dir.path().display().to_string();
    let result = fixture
        .documents(&["evaluate", &path, "--json"])
        .await
        .remove(0);
    assert_eq!(
        (&result["images"], &result["correct"]),
        (&json!(3), &json!(2)),
        "{result}"
    );
    assert_eq!(result["confusion"][1][7], 1);
    assert_eq!(result["temperature"], 1.0);
    assert_eq!(
        result["versions"],
        json!([{"sequence": 3, "checkpoint_id": CHECKPOINT, "images": 3}])
    );
    let text = out(&fixture.run(&["evaluate", &path]).await);
    assert!(
        text.contains("accuracy  66.67 %  (2 right, 1 wrong)"),
        "{text}"
    );
    assert_eq!(
        fixture.run(&["evaluate", "nothing"]).await.status.code(),
        Some(64)
    );
}

#[tokio::test]
async fn doctor_answers_as_json_with_remedies() {
    let fixture = Fixture::new().await;
    let storage = format!("file://{}/storage", fixture.dir.path().display());
    let output = fixture
        .run(&["doctor", "inference", "--storage", &storage, "--json"])
        .await;
    let report: Value = serde_json::from_str(out(&output).trim()).expect("JSON");
    let checks = report["checks"].as_array().expect("checks");
    let status = |name: &str| {
        checks
            .iter()
            .find(|it| it["name"] == name)
            .map(|it| it["status"].clone())
    };
    assert_eq!(status("storage"), Some(json!("ok")));
    assert_eq!(status("digits-trainer"), None);
    // The services here have no health service.
    assert_eq!(status("inference"), Some(json!("fail")));
    assert_eq!(
        (output.status.code(), &report["ok"]),
        (Some(1), &json!(false))
    );
    for check in checks {
        assert_eq!(
            check["remedy"].is_null(),
            check["status"] == "ok",
            "{check}"
        );
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

#[tokio::test]
async fn a_report_in_lines_in_json_and_as_a_picture() {
    let fixture = Fixture::new().await;
    let output = fixture.run(&["report", CHECKPOINT, "-o", "hard.png"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    let expected = [
        &format!("checkpoint   {CHECKPOINT}"),
        "data set     mnist, 10,000 test images",
        "error        10.00 %  (1,000 wrong)",
        "corrupted    25.00 %  (mean over 1 corruptions)",
        "calibration  loss 0.351287, calibration error 1.25 % in 15 bins, temperature 1",
        "surest       95 % of the images: error 7.25 %  (probability from 0.500 on)",
        "measured     by version 0.1.0 with libtorch 2.11.0 in 4.5 s, read from the manifest",
        "",
        "error on corrupted images",
        "shot noise ##########                                25.00 %",
        "",
        "       | predicted",
        "  true | nought    one    right",
        "nought |    970     10   99.0 %",
        "   one |    990   8030   89.0 %",
        "",
        "hardest test images",
        " @",
        " @",
        "247: one",
        "said nought (93.8 %)",
    ];
    assert_eq!(
        text.lines().take(expected.len()).collect::<Vec<_>>(),
        expected
    );
    let picture = std::fs::read(fixture.dir.path().join("hard.png")).expect("written");
    assert!(picture.starts_with(b"\x89PNG"));

    let documents = fixture
        .documents(&["--json", "report", "--again", CHECKPOINT])
        .await;
    assert_eq!(documents.len(), 1);
    assert_eq!(documents[0]["from_manifest"], false);
    assert_eq!(documents[0]["report"]["coverages"][0]["error"], 0.0725);

    let busy = fixture.run(&["report", "other"]).await;
    assert_eq!(busy.status.code(), Some(75), "{}", err(&busy));
}

#[tokio::test]
async fn an_import_goes_in_pieces_and_serves_only_when_asked() {
    let fixture = Fixture::new().await;
    let file = fixture.dir.path().join("model.safetensors");
    std::fs::write(&file, vec![7; 600_000]).expect("written");
    let import = ["import", "model.safetensors", "--labels", "a,b", "--json"];
    let answer = fixture.documents(&import).await.remove(0);
    assert_eq!(answer["checkpoint"]["weights_size_bytes"], 600_000);
    assert_eq!(answer["checkpoint"]["label_names"], json!(["a", "b"]));
    assert_eq!(answer["checkpoint"]["input"]["height"], 28);
    assert_eq!(answer["record"], Value::Null);
    let promoting: Vec<&str> = import.iter().copied().chain(["--promote"]).collect();
    let answer = fixture.documents(&promoting).await.remove(0);
    assert_eq!(answer["record"]["sequence"], 4);
    fixture
        .check_error(
            &["import", "nowhere"],
            66,
            &["digits: nowhere: No such file or directory (os error 2)"],
        )
        .await;
}

#[tokio::test]
async fn an_export_names_what_is_missing() {
    let fixture = Fixture::new().await;
    let missing = format!(
        "digits: checkpoint {CHECKPOINT}: there is no committed one of this id here; `digits checkpoints` lists them"
    );
    let storage = ["--storage", "storage", "-o", "x"];
    let export = |id, format| ["export", id, format].into_iter().chain(storage);
    let slip: Vec<&str> = export(CHECKPOINT, "--onnx").collect();
    let output = fixture.run(&slip).await;
    assert_eq!(output.status.code(), Some(69), "{}", err(&output));
    // A slip in the name makes no new storage.
    let folder = fixture.dir.path().join("storage");
    assert!(!folder.exists());
    std::fs::create_dir(folder).expect("made");
    let safetensors: Vec<&str> = export(CHECKPOINT, "--safetensors").collect();
    fixture.check_error(&safetensors, 66, &[&missing]).await;
    let onnx: Vec<&str> = export(CHECKPOINT, "--onnx").collect();
    let output = fixture.run(&onnx).await;
    assert_eq!(output.status.code(), Some(66), "{}", err(&output));
    let bad: Vec<&str> = export("x", "--onnx").collect();
    let output = fixture.run(&bad).await;
    assert_eq!(output.status.code(), Some(64), "{}", err(&output));
    assert!(!fixture.dir.path().join("x").exists());
}

#[tokio::test]
async fn what_has_no_spec_is_not_reproduced() {
    let fixture = Fixture::new().await;
    let line =
        format!("digits: checkpoint {CHECKPOINT} was imported: there is no training to do again");
    fixture
        .check_error(&["reproduce", CHECKPOINT], 1, &[&line])
        .await;
}
