//! The binary `digits` on a storage, without any service: listing checkpoints, changing what
//! serves.

use digits_checkpoint::{
    Draft, Exam, Layer, Storage, encode_exam, encode_model,
    id::CheckpointId,
    manifest::{
        Activation, Architecture, Evaluation, FORMAT, FileDigest, Files, InputSpec, Lineage,
        Manifest, Metrics, PictureNormalization,
    },
    publish,
    serving::{Policy, promote_published},
    unfinished::{Unfinished, mark},
};
use digits_testing::patience;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{
    io::Read as _,
    net::TcpListener,
    process::{Command, Output},
    sync::mpsc,
    thread,
};

fn draft(id: CheckpointId, age_seconds: i64) -> Draft {
    let unknown = FileDigest {
        sha256: String::new(),
        size_bytes: 0,
    };
    let manifest = Manifest {
        format: FORMAT,
        id,
        model: "digits".parse().expect("a name"),
        created_at: Timestamp::now() - SignedDuration::from_secs(age_seconds),
        after_sequence: None,
        architecture: Architecture {
            input_size: 4,
            hidden: vec![],
            classes: 2,
            activation: Activation::Relu,
        },
        input: InputSpec {
            height: 2,
            width: 2,
            scale: 255.0,
            mean: 0.0,
            std: 1.0,
        },
        labels: vec!["0".to_owned(), "1".to_owned()],
        picture_normalization: PictureNormalization::None,
        temperature: 1.0,
        files: Files {
            model: unknown.clone(),
            exam: unknown,
        },
        metrics: Metrics {
            // The older one is better.
            validation: Some(Evaluation {
                images: 4,
                correct: if age_seconds > 0 { 3 } else { 2 },
                loss: 0.5,
                loss_batch_mean: 0.5,
                batch_size: 4,
            }),
            ..Metrics::default()
        },
        report: None,
        training: None,
        lineage: Lineage {
            job: Some("a-job".to_owned()),
            ..Lineage::default()
        },
    };
    let layer = Layer {
        outputs: 2,
        inputs: 4,
        weight: vec![0.5; 8],
        bias: vec![0.0; 2],
    };
    let exam = Exam {
        inputs: vec![0; 4],
        logits: vec![0.0; 2],
        images: 1,
    };
    Draft {
        manifest,
        model: encode_model(&[layer]),
        exam: encode_exam(&exam, 4, 2),
    }
}

pub struct Fixture {
    pub dir: tempfile::TempDir,
    old: String,
    pub new: String,
}

impl Fixture {
    /// Two checkpoints, of which the newer one serves.
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let storage = Storage::open(&dir.path().display().to_string()).expect("open");
        let mut ids = Vec::new();
        for age in [60, 0] {
            let draft = draft(CheckpointId::generate(), age);
            let manifest = publish(&storage, draft).await.expect("published");
            promote_published(&storage, &manifest, Policy::Latest.into(), "job a-job")
                .await
                .expect("promoted");
            ids.push(manifest.id.to_string());
        }
        let [old, new] = ids.try_into().expect("two");
        Self { dir, old, new }
    }

    fn run_on(&self, storage: &str, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_digits"))
            .args(arguments)
            .args(["--storage", storage])
            // No process listens there.
            .env("DIGITS_TRAINER", "http://127.0.0.1:1")
            .env("LC_ALL", "C")
            .output()
            .expect("the binary starts")
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_on(&format!("file://{}", self.dir.path().display()), arguments)
    }

    pub fn document(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub fn error(&self, arguments: &[&str], code: i32, part: &str) {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn commands_with_storage_work_without_a_trainer() {
    let fixture = Fixture::new().await;
    let (old, new) = (fixture.old.as_str(), fixture.new.as_str());
    let listed = fixture.document(&["checkpoints"]);
    let ids: Vec<_> = listed["checkpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    assert_eq!((ids.len(), &ids[0]["checkpoint_id"]), (2, &new.into()));
    assert_eq!(
        fixture.document(&["checkpoints", old])["lineage"]["job_id"],
        "a-job"
    );
    let newest = |fixture: &Fixture| {
        let log = fixture.document(&["serving", "--limit", "1"]);
        let record = log["records"][0].clone();
        let serves = record["routes"][0]["checkpoint_id"]
            .as_str()
            .map(str::to_owned);
        (
            record["sequence"].as_u64(),
            record["hold"].as_bool(),
            serves,
        )
    };
    assert_eq!(
        newest(&fixture),
        (Some(2), Some(false), Some(new.to_owned()))
    );

    let record = fixture.document(&["rollback", "--by", "me"]);
    assert_eq!(
        (&record["sequence"], &record["by"]),
        (&3.into(), &"me".into())
    );
    assert_eq!(record["reason"], "SERVING_REASON_ROLLED_BACK");
    assert_eq!(
        newest(&fixture),
        (Some(3), Some(true), Some(old.to_owned()))
    );
    fixture.document(&["release"]);
    assert_eq!(
        newest(&fixture),
        (Some(4), Some(false), Some(old.to_owned()))
    );
    fixture.document(&["promote", new, "--expected-sequence", "4"]);
    assert_eq!(
        newest(&fixture),
        (Some(5), Some(true), Some(new.to_owned()))
    );
    fixture.document(&["promote", old, "--canary", "0.25"]);
    let log = fixture.document(&["serving"]);
    assert_eq!(log["records"].as_array().map(Vec::len), Some(6));
    assert_eq!(log["records"][0]["routes"][1]["share"], 0.25);
    let record = fixture.document(&["drop"]);
    assert_eq!(record["routes"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        newest(&fixture),
        (Some(7), Some(true), Some(new.to_owned()))
    );
    fixture.error(&["drop"], 1, "neither canary nor shadow");
    for command in ["checkpoints", "serving"] {
        let text = String::from_utf8_lossy(&fixture.run(&[command]).stdout).into_owned();
        assert!(text.contains(new) && text.contains(old), "{text}");
    }
}

#[tokio::test]
async fn a_change_names_the_primary_that_it_replaces() {
    let fixture = Fixture::new().await;
    let (old, new) = (fixture.old.as_str(), fixture.new.as_str());
    let text = |arguments: &[&str]| {
        let output = fixture.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let back = |sequence| format!("  to serve that one again: digits rollback --to {sequence}");
    for (change, replaced, accuracies, sequence) in [
        (&["rollback"][..], new, "75.00 %, before 50.00 %", 2),
        (&["promote", new], old, "50.00 %, before 75.00 %", 3),
    ] {
        let text = text(change);
        let lines: Vec<&str> = text.lines().rev().take(2).collect();
        let expected = format!("  replaces checkpoint {replaced}: accuracy {accuracies}");
        assert_eq!(lines, [back(sequence), expected], "{text}");
    }
    let document = fixture.document(&["promote", old, "--expected-sequence", "4"]);
    assert_eq!(document["replaced"]["checkpoint_id"], new);
    assert_eq!(document["replaced"]["accuracy"], 0.5);
    // The same primary again, a canary, and no change of the routes.
    for change in [
        &["promote", old][..],
        &["promote", new, "--canary", "0.5"],
        &["drop"],
        &["release"],
    ] {
        let text = text(change);
        assert!(!text.contains("replaces"), "{text}");
    }
}

#[tokio::test]
async fn checkpoints_of_a_job_are_listed_by_the_start_of_its_id() {
    let fixture = Fixture::new().await;
    for (job, count) in [("a-job", 2), ("a-jo", 2), ("latest", 2)] {
        let listed = fixture.document(&["checkpoints", "--job", job]);
        let found = listed["checkpoints"].as_array().map(Vec::len);
        assert_eq!(found, Some(count), "{job}");
    }
    fixture.error(
        &["checkpoints", "--job", "a-j"],
        64,
        "at least 4 characters",
    );
    let unknown = &["checkpoints", "--job", "another"];
    fixture.error(unknown, 64, "there is no job \"another\"");
}

#[tokio::test]
async fn a_record_of_a_newer_format_is_listed_and_skipped() {
    let fixture = Fixture::new().await;
    let log = fixture.dir.path().join("serving/digits");
    let newer = r#"{"format": 99}"#;
    std::fs::write(log.join(format!("{:020}.json", 3)), newer).expect("written");
    let records = &fixture.document(&["serving"])["records"];
    let numbers: Vec<_> = (0..3).map(|at| records[at]["sequence"].as_u64()).collect();
    assert_eq!(numbers, [Some(3), Some(2), Some(1)], "{records}");
    assert_eq!(records[0]["not_understood"], true);
    let text = String::from_utf8_lossy(&fixture.run(&["serving"]).stdout).into_owned();
    assert!(text.contains("not understood"), "{text}");
    fixture.error(&["drop"], 1, "cannot be understood");
    let record = fixture.document(&["promote", &fixture.old]);
    assert_eq!(record["sequence"], 4);
}

#[tokio::test]
async fn a_refused_change_exits_with_1() {
    let fixture = Fixture::new().await;
    let old = fixture.old.as_str();
    fixture.error(&["release"], 1, "has no hold");
    fixture.error(
        &["rollback", "--expected-sequence", "1"],
        1,
        "newest record, which is 2",
    );
    fixture.error(&["promote", "x"], 64, "UUID");
    fixture.error(&["promote", old, "--canary", "2"], 1, "share");
    fixture.error(&["serving", "Digits"], 64, "model name");
    fixture.error(&["rollback", "--model", "other"], 1, "");
    let unknown = CheckpointId::generate().to_string();
    fixture.error(&["promote", &unknown], 1, &unknown);
    fixture.error(&["checkpoints", &unknown], 1, &unknown);

    // Commands that need the trainer refuse --storage.
    for command in ["jobs", "report", "import", "reproduce"] {
        fixture.error(&[command], 64, "unexpected argument '--storage'");
    }

    // A slip in the name makes no new storage.
    let slip = fixture.dir.path().join("slip");
    let output = fixture.run_on(&slip.display().to_string(), &["rollback"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(!slip.exists());
    let output = fixture.run_on("gopher://x", &["serving"]);
    assert_eq!(output.status.code(), Some(64));

    // One that is marked for deletion.
    let folder = fixture.dir.path().join("checkpoints").join(old);
    std::fs::write(folder.join("tombstone.json"), "{}").expect("written");
    fixture.error(&["promote", old], 1, "marked for deletion");
    fixture.error(&["rollback"], 1, "marked for deletion");
}

/// The process must install its cryptography provider before it uses TLS: without one the client of
/// a bucket panics.
#[test]
fn a_bucket_is_reached_over_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("https://{}", listener.local_addr().expect("its address"));
    let (sender, received) = mpsc::channel();
    // Ends with the process; every connection is closed after its first bytes.
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut first = [0; 3];
            if connection
                .and_then(|mut peer| peer.read_exact(&mut first))
                .is_ok()
            {
                let _ = sender.send(first);
            }
        }
    });
    let output = Command::new(env!("CARGO_BIN_EXE_digits"))
        .args(["serving", "--storage", "s3://bucket"])
        .env("AWS_ENDPOINT", endpoint)
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "eu-central-1")
        .output()
        .expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{text}");
    // A TLS record (RFC 8446, 5.1) with a handshake in it.
    assert_eq!(
        received
            .recv_timeout(patience())
            .map(|first| first[..2].to_vec()),
        Ok(vec![22, 3]),
        "{text}"
    );
}

#[tokio::test]
async fn checkpoints_of_a_job_that_failed_are_marked_without_a_trainer() {
    let fixture = Fixture::new().await;
    let listed = || fixture.run(&["checkpoints"]);
    let text = |output: Output| String::from_utf8(output.stdout).expect("text");
    assert!(!text(listed()).contains("failed"));
    let storage = Storage::open(&fixture.dir.path().display().to_string()).expect("open");
    for _ in 0..2 {
        let marked = mark(&storage, "a-job", Unfinished::Failed).await;
        marked.expect("marked");
    }
    let text = text(listed());
    assert_eq!(text.matches("failed").count(), 2, "{text}");
    let one = fixture.document(&["checkpoints", &fixture.old]);
    assert_eq!(one["job_state"], "JOB_STATE_FAILED");
}
