//! Report cards, imports, exports.

use super::{Fixture, err, out};
use digits_testing::services::{CHECKPOINT, IMPORTED, JOB};
use serde_json::{Value, json};

#[tokio::test]
async fn a_report_is_printed_as_lines_and_as_json_and_drawn() {
    let fixture = Fixture::new().await;
    let output = fixture.run(&["report", CHECKPOINT, "-o", "hard.png"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    let expected = [
        &format!("checkpoint   {CHECKPOINT}"),
        "data set     mnist, 10,000 test images",
        "error        10.00 %  (1,000 wrong)",
        "corrupted    25.00 %  (mean over 1 corruptions)",
        "styles       50.00 %  (mean over 1 ways of writing the digits)",
        "calibration  loss 0.351287, calibration error 1.25 % in 15 bins, temperature 1",
        "surest       95 % of the images: error 7.25 %  (probability from 0.500 on)",
        "measured     by version 0.1.0 with libtorch 2.11.0 in 4.5 s, read from the manifest",
        "",
        "error on corrupted images",
        "shot noise ##########                                25.00 %",
        "",
        "ways of writing with the highest error",
        "1 long flag ####################                      50.00 %",
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
        "predicted nought (93.8 %)",
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

    let busy = fixture.run(&["report", JOB]).await;
    assert_eq!(busy.status.code(), Some(75), "{}", err(&busy));
}

#[tokio::test]
async fn an_import_is_sent_in_pieces_and_promoted_only_on_request() {
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
    let text = out(&fixture.run(&import[..2]).await);
    assert!(text.contains("note: without a bias"), "{text}");
    assert!(text.contains("not measured: "), "{text}");
    fixture
        .check_error(
            &["import", "nowhere"],
            66,
            &["digits: nowhere: No such file or directory (os error 2)"],
        )
        .await;
}

#[tokio::test]
async fn a_network_that_is_far_worse_than_what_serves_is_promoted_only_by_force() {
    let fixture = Fixture::new().await;
    std::fs::write(fixture.dir.path().join("tanh.safetensors"), [7; 10]).expect("written");
    let import = [
        "import",
        "tanh.safetensors",
        "--dataset",
        "mnist",
        "--promote",
    ];
    let output = fixture.run(&import).await;
    assert_eq!(output.status.code(), Some(1));
    let (text, errors) = (out(&output), err(&output));
    assert!(
        text.contains("measured on mnist: accuracy 78.95 %"),
        "{text}"
    );
    assert!(!text.contains("served as"), "{text}");
    for part in [
        "warning: the network was probably trained with another scaling or activation: with --mean 0.1307 --std 0.3081 \
         --activation tanh its accuracy is 93.84 % instead of 78.95 %",
        "digits: imported and not promoted: its accuracy on mnist is 78.95 %, and that of checkpoint",
        "98.70 %, more than 2 points better",
        "digits promote",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    let json: Vec<&str> = import.iter().copied().chain(["--json"]).collect();
    let output = fixture.run(&json).await;
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["record"], Value::Null);
    assert_eq!(document["measurement"]["best_is_clearly_better"], true);
    let forced: Vec<&str> = json.iter().copied().chain(["--force"]).collect();
    let answer = fixture.documents(&forced).await.remove(0);
    assert_eq!(answer["record"]["sequence"], 4);
}

#[tokio::test]
async fn an_export_names_the_missing_checkpoint_or_storage() {
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
async fn an_imported_checkpoint_is_not_reproduced() {
    let fixture = Fixture::new().await;
    let line =
        format!("digits: checkpoint {IMPORTED} was imported: there is no training to repeat");
    fixture
        .check_error(&["reproduce", IMPORTED], 1, &[&line])
        .await;
}
