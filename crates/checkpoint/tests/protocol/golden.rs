//! The formats on the storage are stable: files of older programs stay readable, and older programs
//! can read the files of this one. A change of these golden files is a change of the contract.

use super::support::draft;
use digits_checkpoint::{
    Exam, Keys, Layer, RefusalReason, Storage, StorageError, encode_exam, encode_model,
    id::{CheckpointId, ModelName},
    manifest::Manifest,
    publish,
    record::ServingRecord,
    serving,
};
use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};
use serde_json::{Value, json};
use std::sync::Arc;

const MANIFEST: &str = include_str!("../golden/manifest.json");
const REPORT: &str = include_str!("../golden/report.json");
const RECORD: &str = include_str!("../golden/serving-record.json");
const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// An empty storage with `text` under `key`.
async fn storage_with(key: &str, text: impl Into<String>) -> Storage {
    let store = Arc::new(InMemory::new());
    let text: String = text.into();
    store.put(&Path::from(key), text.into()).await.unwrap();
    Storage::from_store(store, Path::default())
}

async fn read_manifest(text: String) -> Result<Option<Manifest>, StorageError> {
    let storage = storage_with(&format!("checkpoints/{ID}/manifest.json"), text).await;
    digits_checkpoint::manifest(&storage, ID.parse().unwrap()).await
}

async fn read_record(text: String) -> Result<Option<ServingRecord>, StorageError> {
    let storage = storage_with("serving/digits/00000000000000000007.json", text).await;
    serving::record(&storage, &ModelName::default(), 7).await
}

#[tokio::test]
async fn the_golden_manifest_is_read_and_written_unchanged() {
    let manifest = read_manifest(MANIFEST.into()).await.unwrap().unwrap();
    assert_eq!(manifest.id, ID.parse::<CheckpointId>().unwrap());
    assert_eq!(manifest.metrics.validation.unwrap().accuracy(), 0.9);
    assert_eq!(manifest.architecture.parameters(), Some(7960));
    let written = serde_json::to_string_pretty(&manifest).unwrap();
    assert_eq!(written, MANIFEST.trim_end());
}

#[tokio::test]
async fn the_golden_report_is_read_and_written_unchanged() {
    let mut text: Value = serde_json::from_str(MANIFEST).unwrap();
    text["report"] = serde_json::from_str(REPORT).unwrap();
    let manifest = read_manifest(text.to_string()).await.unwrap().unwrap();
    let report = manifest.report.unwrap();
    assert_eq!(report.error(), 0.1);
    assert_eq!(report.hardest[0].pixels, [0, 255, 16, 1]);
    let written = serde_json::to_string_pretty(&report).unwrap();
    assert_eq!(written, REPORT.trim_end());

    text["report"]["hardest"][0]["pixels"] = json!("0g");
    assert!(read_manifest(text.to_string()).await.is_err());
}

#[tokio::test]
async fn a_report_may_have_errors_by_style() {
    let mut text: Value = serde_json::from_str(MANIFEST).unwrap();
    text["report"] = serde_json::from_str(REPORT).unwrap();
    let styles = json!([
        {"label": "1", "style": "long flag", "images": 60, "error": 0.25},
        {"label": "7", "style": "crossed", "images": 60, "error": 0.125},
    ]);
    text["report"]["styles"] = styles.clone();
    let manifest = read_manifest(text.to_string()).await.unwrap().unwrap();
    let report = manifest.report.unwrap();
    assert_eq!(report.mean_style_error(), 0.1875);
    assert_eq!(serde_json::to_value(&report.styles).unwrap(), styles);
}

#[tokio::test]
async fn the_golden_record_is_read_and_written_unchanged() {
    let record = read_record(RECORD.into()).await.unwrap().unwrap();
    assert_eq!(record.primary(), Some(ID.parse().unwrap()));
    let written = serde_json::to_string_pretty(&record).unwrap();
    assert_eq!(written, RECORD.trim_end());
}

/// Programs without keys ignore the signature.
#[tokio::test]
async fn the_golden_signed_files_are_read_with_and_without_keys() {
    let signed = include_str!("../golden/signed-manifest.json");
    let manifest = read_manifest(signed.into()).await.unwrap().unwrap();
    assert_eq!(
        serde_json::to_string_pretty(&manifest).unwrap(),
        MANIFEST.trim_end()
    );
    let signed = include_str!("../golden/signed-serving-record.json");
    let plain = storage_with("serving/digits/00000000000000000007.json", signed).await;
    let trusting = Keys::trusting(include_bytes!("../golden/ed25519-public.pem")).unwrap();
    for storage in [plain.clone(), plain.with_keys(trusting)] {
        let record = serving::record(&storage, &ModelName::default(), 7).await;
        let written = serde_json::to_string_pretty(&record.unwrap().unwrap()).unwrap();
        assert_eq!(written, RECORD.trim_end());
    }
}

/// As older programs wrote it.
#[tokio::test]
async fn a_manifest_without_a_sequence_is_read_and_written_unchanged() {
    let mut text: Value = serde_json::from_str(MANIFEST).unwrap();
    text.as_object_mut().unwrap().remove("after_sequence");
    let manifest = read_manifest(text.to_string()).await.unwrap().unwrap();
    assert_eq!(manifest.after_sequence, None);
    assert_eq!(serde_json::to_value(&manifest).unwrap(), text);
}

/// As older programs wrote it.
#[tokio::test]
async fn a_record_without_a_note_is_read_and_written_unchanged() {
    let mut text: Value = serde_json::from_str(RECORD).unwrap();
    text.as_object_mut().unwrap().remove("note");
    let record = read_record(text.to_string()).await.unwrap().unwrap();
    assert_eq!(record.note, None);
    assert_eq!(serde_json::to_value(&record).unwrap(), text);
}

/// As older programs wrote it.
#[tokio::test]
async fn a_record_without_digests_is_read_and_written_unchanged() {
    let mut text: Value = serde_json::from_str(RECORD).unwrap();
    let routes = text["routes"].as_array_mut().unwrap();
    for route in routes {
        route.as_object_mut().unwrap().remove("manifest_sha256");
    }
    let record = read_record(text.to_string()).await.unwrap().unwrap();
    assert_eq!(record.routes[0].manifest_sha256, None);
    assert_eq!(serde_json::to_value(&record).unwrap(), text);
}

#[tokio::test]
async fn unknown_fields_are_accepted() {
    let mut manifest: Value = serde_json::from_str(MANIFEST).unwrap();
    manifest["later"] = json!({"a": [1]});
    manifest["input"]["later"] = json!("b");
    manifest["lineage"]["later"] = json!(3);
    assert!(read_manifest(manifest.to_string()).await.unwrap().is_some());
    let mut record: Value = serde_json::from_str(RECORD).unwrap();
    record["later"] = json!(null);
    record["routes"][0]["later"] = json!("c");
    assert!(read_record(record.to_string()).await.unwrap().is_some());
}

#[tokio::test]
async fn unknown_formats_are_refused_whatever_the_rest_is() {
    for format in [0, 2, u64::MAX] {
        let text = json!({"format": format, "anything": true}).to_string();
        let error = read_manifest(text.clone()).await.unwrap_err();
        assert!(error.to_string().contains(&format.to_string()), "{error}");
        let error = read_record(text).await.unwrap_err();
        assert!(error.to_string().contains(&format.to_string()), "{error}");
    }
    let mut manifest: Manifest = serde_json::from_str(MANIFEST).unwrap();
    manifest.format = 2;
    assert_eq!(
        manifest.validate().unwrap_err().reason,
        RefusalReason::Format
    );
}

#[tokio::test]
async fn invalid_records_are_unreadable() {
    let cases: [(&str, Value); 9] = [
        ("/sequence", json!(8)),
        ("/routes", json!([])),
        ("/routes/0/share", json!(0.5)),
        ("/routes/0/share", json!(-0.75)),
        ("/routes/0/role", json!("spare")),
        ("/routes/1/role", json!("primary")),
        ("/routes/2/share", json!(0.25)),
        ("/routes/1/checkpoint", json!(ID)),
        ("/routes/0/manifest_sha256", json!("0c")),
    ];
    for (field, value) in cases {
        let mut record: Value = serde_json::from_str(RECORD).unwrap();
        *record.pointer_mut(field).unwrap() = value.clone();
        let error = read_record(record.to_string()).await.unwrap_err();
        let expected = matches!(error, StorageError::Unreadable { .. });
        assert!(expected, "{field} = {value}: {error}");
    }
}

/// The expected bytes of the tensor files: eight bytes of length, the header, the values.
#[test]
fn tensor_files_have_their_pinned_bytes() {
    let layers = [Layer {
        outputs: 1,
        inputs: 2,
        weight: vec![1.0, -2.0],
        bias: vec![0.5],
    }];
    let header = r#"{"layers.1.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"layers.1.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]}}"#;
    let mut expected = file(header);
    for value in [0.5_f32, 1.0, -2.0] {
        expected.extend(value.to_le_bytes());
    }
    assert_eq!(encode_model(&layers), expected);

    let exam = Exam {
        inputs: vec![0, 255],
        logits: vec![3.0],
        images: 1,
    };
    let header = r#"{"logits":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"inputs":{"dtype":"U8","shape":[1,2],"data_offsets":[4,6]}}"#;
    let mut expected = file(header);
    expected.extend(3.0_f32.to_le_bytes());
    expected.extend([0, 255]);
    assert_eq!(encode_exam(&exam, 2, 1), expected);
}

/// What a user gets is in the exam of a published checkpoint: as older readers know it, with two
/// more tensors.
#[tokio::test]
async fn a_published_exam_has_its_pinned_bytes() {
    let store = Arc::new(InMemory::new());
    let storage = Storage::from_store(store.clone(), Path::default());
    let mut draft = draft(ID.parse().unwrap(), 1, 0);
    draft.exam = encode_exam(
        &Exam {
            inputs: vec![1, 2, 3, 4, 5, 6],
            logits: vec![0.0; 3],
            images: 1,
        },
        6,
        3,
    );
    publish(&storage, draft).await.unwrap();
    let header = r#"{"logits":{"dtype":"F32","shape":[1,3],"data_offsets":[0,12]},"probabilities":{"dtype":"F32","shape":[1,3],"data_offsets":[12,24]},"inputs":{"dtype":"U8","shape":[1,6],"data_offsets":[24,30]},"labels":{"dtype":"U8","shape":[13],"data_offsets":[30,43]}}"#;
    let mut expected = file(header);
    expected.extend([0; 12]);
    for _ in 0..3 {
        expected.extend((1.0_f32 / 3.0).to_le_bytes());
    }
    expected.extend([1, 2, 3, 4, 5, 6]);
    expected.extend(br#"["0","1","2"]"#);
    let key = Path::from(format!("checkpoints/{ID}/exam.safetensors"));
    let stored = store.get(&key).await.unwrap().bytes().await.unwrap();
    assert_eq!(stored, expected);
}

fn file(header: &str) -> Vec<u8> {
    let length = header.len().next_multiple_of(8);
    let mut bytes = (length as u64).to_le_bytes().to_vec();
    bytes.extend(format!("{header:length$}").bytes());
    bytes
}
