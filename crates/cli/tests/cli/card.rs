//! The binary `digits` writes model cards and folders for the hub of a storage, without a trainer.

use crate::storage::Fixture;
use std::fs;

#[tokio::test]
async fn a_card_is_written_without_a_trainer() {
    let fixture = Fixture::new().await;
    let output = fixture.run(&["card", "latest"]);
    let hint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{hint}");
    assert!(hint.starts_with("the card has no curves: "), "{hint}");
    let card = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        card.starts_with("---\nlibrary_name: \"pytorch\"\n"),
        "{card}"
    );
    assert!(
        card.contains(&format!("Checkpoint `{}`", fixture.new)),
        "{card}"
    );
    assert_eq!(fixture.document(&["card", "latest"])["card"], card);

    let file = fixture.dir.path().join("card.md").display().to_string();
    let document = fixture.document(&["card", &fixture.new, "-o", &file]);
    assert_eq!(document["size_bytes"], card.len());
    assert_eq!(fs::read_to_string(&file).expect("written"), card);
    fixture.error(
        &["card", "01890a5d"],
        64,
        "there is no checkpoint \"01890a5d\"",
    );
}

#[tokio::test]
async fn a_folder_for_the_hub_must_be_empty() {
    let fixture = Fixture::new().await;
    let folder = fixture.dir.path().join("hub/model");
    let path = folder.display().to_string();
    let document = fixture.document(&["export", "latest", "--hub", &path]);
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("a file")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    let expected = [
        "README.md",
        "config.json",
        "load.py",
        "model.onnx",
        "model.safetensors",
    ];
    assert_eq!(names, expected);
    assert_eq!(document["files"], serde_json::json!(expected));
    fixture.error(
        &["export", "latest", "--hub", &path],
        73,
        "is not empty: name another folder",
    );
    fixture.error(
        &["export", "latest", "--hub", &path, "-o", "a"],
        64,
        "--output",
    );
    fixture.error(&["export", "latest", "--onnx"], 64, "--output");
}
