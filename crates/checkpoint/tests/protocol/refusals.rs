//! Every fault of a checkpoint, and the reader's refusal.

use super::support::{SIZES, draft, exam, layers};
use digits_checkpoint::{
    Draft, LoadError, Refusal, RefusalReason as Reason, Storage, StorageError, encode_exam,
    encode_model, fetch, id::CheckpointId, publish, sha256_hex,
};
use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

/// The three files of a checkpoint; `None` is a missing one.
struct Lying {
    manifest: Value,
    model: Option<Vec<u8>>,
    exam: Option<Vec<u8>>,
    /// Instead of `manifest`.
    text: Option<Vec<u8>>,
    committed: bool,
    /// SHA-256 of the manifest in the serving record.
    promised: Option<String>,
}

impl Lying {
    fn sign(&mut self) {
        for (name, bytes) in [("model", &self.model), ("exam", &self.exam)] {
            let bytes = bytes.as_ref().unwrap();
            self.manifest["files"][name] =
                json!({"size_bytes": bytes.len(), "sha256": sha256_hex(bytes)});
        }
    }

    fn set(&mut self, field: &str, value: Value) {
        match self.manifest.pointer_mut(field) {
            Some(known) => *known = value,
            // An optional field that the manifest does not have.
            None => self.manifest[field.trim_start_matches('/')] = value,
        }
    }

    /// Replaces the model bytes, with a matching digest.
    fn model(&mut self, bytes: impl Into<Vec<u8>>) {
        self.model = Some(bytes.into());
        self.sign();
    }

    fn exam(&mut self, bytes: impl Into<Vec<u8>>) {
        self.exam = Some(bytes.into());
        self.sign();
    }
}

async fn attempt(damage: impl FnOnce(&mut Lying)) -> Result<(), LoadError> {
    let id = CheckpointId::generate();
    let Draft {
        manifest,
        model,
        exam,
    } = draft(id, 1, 0);
    let mut lying = Lying {
        manifest: serde_json::to_value(manifest).unwrap(),
        model: Some(model.into()),
        exam: Some(exam.into()),
        text: None,
        committed: true,
        promised: None,
    };
    lying.sign();
    damage(&mut lying);
    let store = Arc::new(InMemory::new());
    let text = lying
        .text
        .unwrap_or(lying.manifest.to_string().into_bytes());
    let files = [
        ("model.safetensors", lying.model),
        ("exam.safetensors", lying.exam),
        ("manifest.json", lying.committed.then_some(text)),
    ];
    for (name, bytes) in files {
        if let Some(bytes) = bytes {
            let key = Path::from(format!("checkpoints/{id}/{name}"));
            store.put(&key, bytes.into()).await.unwrap();
        }
    }
    let storage = Storage::from_store(store, Path::default());
    let fetched = fetch(&storage, id, lying.promised.as_deref()).await?;
    fetched.verify()?;
    Ok(())
}

type Damage = Box<dyn FnOnce(&mut Lying)>;

fn case(reason: Reason, damage: impl FnOnce(&mut Lying) + 'static) -> (Reason, Damage) {
    (reason, Box::new(damage))
}

fn manifest_cases() -> Vec<(Reason, Damage)> {
    let field = |reason, field: &'static str, value: Value| {
        case(reason, move |lying| lying.set(field, value))
    };
    vec![
        case(Reason::Manifest, |lying| lying.text = Some(b"{".to_vec())),
        case(Reason::Manifest, |lying| lying.text = Some(vec![])),
        case(Reason::Manifest, |lying| {
            lying.text = Some(vec![b' '; (1 << 20) + 1])
        }),
        case(Reason::Manifest, |lying| {
            lying.text = Some(vec![b'['; 100_000])
        }),
        case(Reason::Manifest, |lying| {
            lying.text = Some(br#"{"format": 1}"#.to_vec())
        }),
        case(Reason::Manifest, |lying| {
            lying.set("/id", json!(CheckpointId::generate()));
        }),
        case(Reason::ManifestDigest, |lying| {
            lying.promised = Some(sha256_hex(b"another manifest"));
        }),
        field(Reason::Format, "/format", json!(2)),
        field(Reason::Manifest, "/format", json!("1")),
        field(
            Reason::Manifest,
            "/training",
            json!({"label_counts": [1], "mean_ink": 0.1}),
        ),
        field(
            Reason::Manifest,
            "/training",
            json!({"label_counts": [1, 2, 3], "mean_ink": 1.5}),
        ),
        field(Reason::Manifest, "/temperature", json!(0.0)),
        field(Reason::Manifest, "/temperature", json!(-1.0)),
        field(Reason::Manifest, "/temperature", json!(100.1)),
        field(Reason::Manifest, "/temperature", json!(1e38)),
        field(Reason::Manifest, "/temperature", json!(null)),
        field(Reason::Manifest, "/input/std", json!(0.0)),
        field(Reason::Manifest, "/input/std", json!(1e300)),
        field(Reason::Manifest, "/input/scale", json!(-255.0)),
        field(Reason::Manifest, "/input/mean", json!(1e300)),
        field(Reason::Manifest, "/input/height", json!(0)),
        field(Reason::Manifest, "/input/width", json!(1_000_000_000_u64)),
        field(Reason::Manifest, "/labels/0", json!("x".repeat(1000))),
        field(Reason::Manifest, "/labels/0", json!("2")),
        field(Reason::Manifest, "/files/model/sha256", json!("../../etc")),
        field(
            Reason::Manifest,
            "/files/exam/sha256",
            json!("A".repeat(64)),
        ),
        field(Reason::Manifest, "/architecture/activation", json!("step")),
        // A slope is missing, and one is beyond its bounds.
        field(
            Reason::Manifest,
            "/architecture/activation",
            json!("leaky_relu"),
        ),
        field(Reason::Architecture, "/input/height", json!(3)),
        field(Reason::Architecture, "/labels", json!(["a", "b"])),
        field(Reason::Architecture, "/architecture/hidden", json!([0])),
        field(
            Reason::Architecture,
            "/architecture/hidden",
            json!([1_000_000_000_u64]),
        ),
        field(
            Reason::Architecture,
            "/architecture/hidden",
            json!([65_536, 65_536]),
        ),
        field(
            Reason::Architecture,
            "/architecture/hidden",
            json!(vec![1; 65]),
        ),
        field(Reason::Architecture, "/architecture/classes", json!(0)),
        field(Reason::Architecture, "/architecture/classes", json!(1001)),
        field(Reason::Architecture, "/architecture/input_size", json!(7)),
        field(Reason::Size, "/files/model/size_bytes", json!(u64::MAX)),
        field(Reason::Size, "/files/exam/size_bytes", json!(1_u64 << 40)),
    ]
}

/// A model file of this header without data.
fn header(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.bytes());
    bytes
}

fn model_cases() -> Vec<(Reason, Damage)> {
    let model = |reason, bytes: Vec<u8>| case(reason, move |lying| lying.model(bytes));
    let changed = |change: fn(&mut Vec<digits_checkpoint::Layer>)| {
        let mut layers = layers(1);
        change(&mut layers);
        encode_model(&layers).to_vec()
    };
    let huge = [u64::MAX.to_le_bytes(), *b"{}      "].concat();
    vec![
        case(Reason::Size, |lying| {
            lying.model.as_mut().unwrap().pop();
        }),
        case(Reason::Size, |lying| lying.model.as_mut().unwrap().push(0)),
        case(Reason::Size, |lying| lying.model = Some(vec![])),
        case(Reason::Size, |lying| lying.model(vec![0; 100_000])),
        case(Reason::Digest, |lying| {
            *lying.model.as_mut().unwrap().last_mut().unwrap() ^= 1;
        }),
        case(Reason::Digest, |lying| {
            lying.model.as_mut().unwrap()[9] ^= 1
        }),
        model(Reason::Header, vec![]),
        model(Reason::Header, vec![1, 2, 3]),
        model(Reason::Header, huge),
        model(
            Reason::Header,
            [&65_537_u64.to_le_bytes()[..], &[b' '; 1000]].concat(),
        ),
        model(Reason::Header, header("no json")),
        model(
            Reason::Header,
            header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#),
        ),
        model(
            Reason::Header,
            header(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#),
        ),
        case(Reason::Header, |lying| {
            // Truncated with a matching digest: the header declares more data.
            let mut bytes = lying.model.clone().unwrap();
            bytes.truncate(bytes.len() - 4);
            lying.model(bytes);
        }),
        model(Reason::Shape, header("{}")),
        model(Reason::Shape, changed(|layers| drop(layers.pop()))),
        model(Reason::Shape, changed(|layers| layers.reverse())),
        model(
            Reason::Shape,
            changed(|layers| {
                let layer = &mut layers[0];
                (layer.outputs, layer.inputs) = (layer.inputs, layer.outputs);
                layer.bias = vec![0.0; layer.outputs];
            }),
        ),
        case(Reason::Shape, |lying| {
            let bytes = lying.model.clone().unwrap();
            let text = String::from_utf8(bytes[8..].iter().map(|&byte| byte & 127).collect());
            let at = text.unwrap().find("layers.1.bias").unwrap() + 8;
            lying.model([&bytes[..at], b"layers.9.bias", &bytes[at + 13..]].concat());
        }),
        case(Reason::Shape, |lying| {
            // The same bytes as integers.
            let bytes = lying.model.clone().unwrap();
            let at = bytes
                .windows(3)
                .position(|window| window == b"F32")
                .unwrap();
            lying.model([&bytes[..at], b"I32", &bytes[at + 3..]].concat());
        }),
        model(
            Reason::NotFinite,
            changed(|layers| layers[0].weight[0] = f32::NAN),
        ),
        model(
            Reason::NotFinite,
            changed(|layers| layers[1].bias[2] = f32::INFINITY),
        ),
        model(
            Reason::NotFinite,
            changed(|layers| layers[1].weight[11] = f32::NEG_INFINITY),
        ),
    ]
}

fn exam_cases() -> Vec<(Reason, Damage)> {
    let (height, width, _, classes) = SIZES;
    let encoded = move |change: fn(&mut digits_checkpoint::Exam), input, classes| {
        let mut exam = exam();
        change(&mut exam);
        encode_exam(&exam, input, classes).to_vec()
    };
    let input = height * width;
    let exam = |reason, bytes: Vec<u8>| case(reason, move |lying| lying.exam(bytes));
    vec![
        case(Reason::Digest, |lying| {
            *lying.exam.as_mut().unwrap().last_mut().unwrap() ^= 1;
        }),
        case(Reason::Size, |lying| {
            lying.exam.as_mut().unwrap().truncate(20)
        }),
        exam(Reason::Header, vec![0; 4]),
        case(Reason::Header, |lying| {
            // Valid but for its length: blanks that any parser skips.
            let bytes = lying.exam.clone().unwrap();
            let (length, rest) = bytes.split_first_chunk().unwrap();
            let (text, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
            let text = std::str::from_utf8(text).unwrap().to_owned() + &" ".repeat(70_000);
            lying.exam([header(&text), data.to_vec()].concat());
        }),
        exam(Reason::Exam, header("{}")),
        exam(
            Reason::Exam,
            encoded(|exam| exam.logits[0] = f32::NAN, input, classes),
        ),
        exam(
            Reason::Exam,
            encoded(|exam| drop(exam.inputs.drain(..4)), input - 2, classes),
        ),
        exam(
            Reason::Exam,
            encoded(|exam| drop(exam.logits.drain(..2)), input, classes - 1),
        ),
        exam(
            Reason::Exam,
            encoded(
                |exam| {
                    exam.inputs.clear();
                    exam.logits.clear();
                    exam.images = 0;
                },
                input,
                classes,
            ),
        ),
    ]
}

#[tokio::test]
async fn invalid_checkpoints_are_refused_by_reason() {
    let cases = [manifest_cases(), model_cases(), exam_cases()]
        .into_iter()
        .flatten();
    let mut seen = BTreeSet::new();
    for (index, (reason, damage)) in cases.enumerate() {
        match attempt(damage).await {
            Err(LoadError::Refused(Refusal {
                reason: given,
                message,
            })) => {
                assert_eq!(given, reason, "case {index}: {message}");
                assert!(
                    !message.is_empty() && !message.contains("checkpoints"),
                    "{message}"
                );
            }
            other => panic!("case {index} ({reason}): {other:?}"),
        }
        seen.insert(reason);
    }
    // Those of a serving record.
    seen.extend([Reason::Signature, Reason::Replay]);
    assert_eq!(
        seen,
        Reason::ALL.into_iter().collect(),
        "every reason has a case"
    );
}

#[tokio::test]
async fn missing_files_are_unavailable_not_refused() {
    let cases: [fn(&mut Lying); 3] = [
        |lying| lying.committed = false,
        |lying| lying.model = None,
        |lying| lying.exam = None,
    ];
    for damage in cases {
        let error = attempt(damage).await.unwrap_err();
        let missing = matches!(&error, LoadError::Unavailable(StorageError::Missing { .. }));
        assert!(missing, "{error}");
    }
    attempt(|_| ()).await.unwrap();
}

#[tokio::test]
async fn every_flipped_bit_is_detected() {
    let length = draft(CheckpointId::generate(), 1, 0).model.len();
    for at in 0..length {
        let flip = move |lying: &mut Lying| lying.model.as_mut().unwrap()[at] ^= 1 << (at % 8);
        let error = attempt(flip).await.unwrap_err();
        let found =
            matches!(&error, LoadError::Refused(refusal) if refusal.reason == Reason::Digest);
        assert!(found, "byte {at}: {error}");
    }
}

#[tokio::test]
async fn a_draft_that_readers_would_refuse_is_not_published() {
    type Spoil = fn(&mut Draft);
    let cases: [(Reason, Spoil); 3] = [
        (Reason::Manifest, |draft| {
            draft.manifest.temperature = f64::NAN
        }),
        (Reason::Shape, |draft| {
            draft.manifest.architecture.hidden = vec![5]
        }),
        (Reason::NotFinite, |draft| {
            let mut layers = layers(1);
            layers[0].bias[0] = f32::NAN;
            draft.model = encode_model(&layers);
        }),
    ];
    for (reason, spoil) in cases {
        let (storage, store) = super::support::memory();
        let mut draft = draft(CheckpointId::generate(), 1, 0);
        spoil(&mut draft);
        match publish(&storage, draft).await {
            Err(StorageError::Draft { refusal, .. }) => assert_eq!(refusal.reason, reason),
            other => panic!("{other:?}"),
        }
        assert_eq!(store.landed(), []);
    }
}
