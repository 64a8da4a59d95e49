//! Predict, evaluate and doctor.

use super::{Fixture, err, out};
use digits_testing::services::{BAD_PICTURE, CHECKPOINT};
use serde_json::{Value, json};

#[tokio::test]
async fn predict_reads_files_and_names_missing_ones() {
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
async fn predict_names_the_bad_picture_and_answers_the_others() {
    let fixture = Fixture::new().await;
    let write = |name: &str, bytes: &str| {
        std::fs::write(fixture.dir.path().join(name), bytes).expect("written");
    };
    write("a.png", "anything");
    write("bad.png", BAD_PICTURE);
    write("c.png", "anything");
    let pictures = ["a.png", "bad.png", "none.png", "mnist:test", "c.png"];
    let command: Vec<&str> = ["predict"].into_iter().chain(pictures).collect();
    let output = fixture.run(&command).await;
    let text = out(&output);
    let answered: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_suffix("  blank: no ink in the picture"))
        .collect();
    assert_eq!(answered, ["a.png", "c.png"], "{text}");
    assert_eq!(
        err(&output).lines().collect::<Vec<_>>(),
        [
            "digits: bad.png: is no picture: send PNG",
            "digits: none.png: No such file or directory (os error 2)",
            "digits: \"mnist:test\" names no image: write it like mnist:test/0",
            "digits: 3 of 5 pictures were not classified",
        ]
    );
    assert_eq!(output.status.code(), Some(64), "that of the first failure");

    let output = fixture
        .run(&["predict", "none.png", "a.png", "--json"])
        .await;
    assert_eq!(output.status.code(), Some(66));
    let documents: Vec<Value> = out(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(documents[0]["source"], "none.png");
    assert_eq!(
        documents[0]["error"],
        "none.png: No such file or directory (os error 2)"
    );
    assert_eq!(documents[1]["prediction"]["verdict"], "VERDICT_BLANK");

    // A single picture: its own line and code.
    fixture
        .check_error(
            &["predict", "bad.png"],
            64,
            &["digits: bad.png: is no picture: send PNG"],
        )
        .await;
}

#[tokio::test]
async fn predict_classifies_the_pictures_of_a_folder() {
    let fixture = Fixture::new().await;
    let folder = fixture.dir.path().join("folder");
    std::fs::create_dir_all(folder.join("inner.png")).expect("made");
    for name in ["b.JPG", "a.png", "notes.txt"] {
        std::fs::write(folder.join(name), "anything").expect("written");
    }
    let answers = fixture.documents(&["predict", "folder", "--json"]).await;
    let sources: Vec<_> = answers.iter().map(|it| it["source"].as_str()).collect();
    assert_eq!(sources, [Some("folder/a.png"), Some("folder/b.JPG")]);
    fixture
        .check_error(
            &["predict", "folder/inner.png"],
            66,
            &["digits: folder/inner.png: is a folder without a PNG, JPEG, WebP, BMP or GIF picture"],
        )
        .await;
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
    fixture
        .check_error(
            &["evaluate", "mnits:test"],
            64,
            &["digits: there is no set \"mnits\" here; did you mean \"mnist\"?"],
        )
        .await;
}

#[tokio::test]
async fn doctor_prints_json_with_remedies() {
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
