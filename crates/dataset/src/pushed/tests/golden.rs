//! The two JSON formats: files of older programs stay readable. A change of these golden files is a
//! change of the contract.

use super::*;
use serde_json::{Value, json};

const MANIFEST: &str = include_str!("../../../tests/golden/dataset-manifest.json");
const RECORD: &str = include_str!("../../../tests/golden/dataset-name.json");

/// Reads a manifest with one changed field.
async fn read(change: impl FnOnce(&mut Value)) -> Result<Option<Manifest>, PushedError> {
    let (storage, store) = memory();
    let mut value: Value = serde_json::from_str(MANIFEST).unwrap();
    let digest = value["digest"].as_str().unwrap().to_owned();
    change(&mut value);
    let text: &'static [u8] = value.to_string().into_bytes().leak();
    put(&store, &format!("datasets/{digest}/manifest.json"), text).await;
    manifest(&storage, &digest).await
}

#[tokio::test]
async fn golden_files_are_read_and_written_unchanged() {
    let manifest = read(|_| ()).await.unwrap().unwrap();
    assert_eq!(
        serde_json::to_string_pretty(&manifest).unwrap(),
        MANIFEST.trim_end()
    );
    // The manifest of this test's data set, except for time and program.
    let now = Manifest {
        created_at: manifest.created_at,
        program_version: manifest.program_version.clone(),
        ..Manifest::of(&dataset(0), PictureNormalization::None)
    };
    assert_eq!(manifest, now);
    assert_eq!(manifest.size_bytes(), 16 + 18 + 8 + 3 + 16 + 6 + 8 + 1);

    let record: NameRecord = serde_json::from_str(RECORD).unwrap();
    assert_eq!(
        serde_json::to_string_pretty(&record).unwrap(),
        RECORD.trim_end()
    );
    assert_eq!(record.digest, manifest.digest);
}

#[tokio::test]
async fn unknown_fields_are_accepted_and_unknown_formats_refused() {
    assert!(
        read(|it| it["later"] = json!({"a": 1}))
            .await
            .unwrap()
            .is_some()
    );
    let error = read(|it| *it = json!({"format": 2, "all": "else"}))
        .await
        .unwrap_err();
    assert!(matches!(error, PushedError::Format { .. }), "{error}");
}

#[tokio::test]
async fn invalid_manifests_are_refused() {
    let cases = [
        ("/digest", json!("0".repeat(64))),
        ("/height", json!(0)),
        ("/width", json!(4_097)),
        ("/height", json!(u64::MAX)),
        ("/labels", json!(["one"])),
        ("/labels/0", json!("b")),
        ("/train/count", json!(u64::MAX)),
        ("/train/class_counts", json!([1, 1])),
        ("/train/class_counts", json!([u64::MAX, 2, 2])),
        ("/test/count", json!(0)),
        ("/test/files/images/size_bytes", json!(17)),
        ("/test/files/labels/size_bytes", json!(u64::MAX)),
        ("/train/files/labels/sha256", json!("../..")),
        ("/train/files/images/sha256", json!("0".repeat(64))),
        ("/picture_normalization", json!("other")),
    ];
    for (field, value) in cases {
        let error = read(|it| *it.pointer_mut(field).unwrap() = value.clone())
            .await
            .unwrap_err();
        assert!(
            matches!(error, PushedError::Damaged { .. }),
            "{field} = {value}: {error}"
        );
    }
}

/// A job on it would end with a checkpoint that no reader serves.
#[tokio::test]
async fn a_manifest_with_unsuitable_labels_is_refused() {
    for (label, part) in [
        (dataset(0).label_names[0].clone(), "occurs twice"),
        ("x".repeat(257), "longer than 256 bytes"),
        (String::new(), "give it a printable name"),
    ] {
        let mut unsuitable = dataset(0);
        unsuitable.label_names[1] = label;
        unsuitable.digest = unsuitable.content_digest();
        let written = Manifest::of(&unsuitable, PictureNormalization::None);
        let (storage, store) = memory();
        let text: &'static [u8] = serde_json::to_vec(&written).unwrap().leak();
        put(
            &store,
            &format!("datasets/{}/manifest.json", written.digest),
            text,
        )
        .await;
        let error = manifest(&storage, &written.digest).await.unwrap_err();
        assert!(matches!(error, PushedError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}
