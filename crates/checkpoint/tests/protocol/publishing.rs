//! Publication without crashes: results, idempotence and races.

use super::support::{SIZES, draft, exam, layers, memory, published};
use digits_checkpoint::{
    Exam, Layer, Storage, StorageError, encode_exam, encode_model,
    id::CheckpointId,
    list_checkpoints, load,
    manifest::{Calibration, Manifest, Report, TemperatureFit},
    publish,
};
use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};
use proptest::prelude::*;
use std::sync::Arc;

#[tokio::test]
async fn a_published_checkpoint_can_be_loaded() {
    let (storage, store) = memory();
    let draft = draft(CheckpointId::generate(), 3, 0);
    let manifest = publish(&storage, draft.clone()).await.unwrap();
    let loaded = load(&storage, manifest.id).await.unwrap();
    assert_eq!(loaded.manifest, manifest);
    assert_eq!(loaded.layers, layers(3));
    assert_eq!(loaded.exam, exam());
    let names: Vec<_> = store
        .landed()
        .iter()
        .map(|path| path.filename().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        ["model.safetensors", "exam.safetensors", "manifest.json"]
    );

    // A repeated call writes nothing; the first manifest stays, whatever was measured since.
    let mut again = draft;
    again.manifest.created_at = jiff::Timestamp::now();
    again.manifest.metrics.test = again.manifest.metrics.validation;
    assert_eq!(publish(&storage, again).await.unwrap(), manifest);
    assert_eq!(store.landed().len(), 3);
}

#[tokio::test]
async fn other_content_under_one_id_is_a_conflict() {
    let (storage, _) = memory();
    let id = CheckpointId::generate();
    publish(&storage, draft(id, 1, 0)).await.unwrap();
    let mut relabelled = draft(id, 1, 0);
    relabelled.manifest.labels[0] = "other".into();
    let mut reexamined = draft(id, 1, 0);
    let mut answers = exam();
    answers.logits[0] += 1.0;
    reexamined.exam = encode_exam(&answers, SIZES.0 * SIZES.1, SIZES.3);
    for other in [draft(id, 2, 0), relabelled, reexamined] {
        let error = publish(&storage, other).await.unwrap_err();
        assert!(matches!(error, StorageError::Conflict { .. }), "{error}");
    }
    assert_eq!(load(&storage, id).await.unwrap().layers, layers(1));
}

/// JSON cannot represent these numbers: they would be written as `null`.
#[tokio::test]
async fn metrics_that_are_not_finite_are_not_published() {
    let changes: [fn(&mut Manifest); 4] = [
        |manifest| manifest.metrics.train_loss = Some(f64::NAN),
        |manifest| {
            let validation = manifest.metrics.validation.as_mut().unwrap();
            validation.loss = f64::INFINITY;
        },
        |manifest| {
            manifest.metrics.calibration = Some(TemperatureFit {
                images: 1,
                bins: 15,
                loss_before: 0.5,
                loss: 0.5,
                error_before: 0.5,
                error: 0.5,
                test_loss: Some(f64::NAN),
            });
        },
        |manifest| {
            manifest.report = Some(Box::new(Report {
                images: 1,
                errors: 0,
                calibration: Calibration {
                    temperature: 1.0,
                    negative_log_likelihood: f64::INFINITY,
                    expected_calibration_error: 0.0,
                    bins: 15,
                },
                coverages: Vec::new(),
                corruptions: Vec::new(),
                mean_corruption_error: 0.0,
                corruption_seed: 0,
                styles: Vec::new(),
                confusion: Vec::new(),
                hardest: Vec::new(),
                program_version: String::new(),
                libtorch_version: String::new(),
                seconds: 1.0,
            }));
        },
    ];
    for change in changes {
        let (storage, store) = memory();
        let mut draft = draft(CheckpointId::generate(), 1, 0);
        change(&mut draft.manifest);
        let error = publish(&storage, draft).await.unwrap_err();
        assert!(matches!(error, StorageError::Draft { .. }), "{error}");
        assert!(store.landed().is_empty());
    }
}

#[tokio::test]
async fn a_tombstoned_id_is_not_published() {
    let (storage, store) = memory();
    let draft = draft(CheckpointId::generate(), 1, 0);
    let key = format!("a/prefix/checkpoints/{}/tombstone.json", draft.manifest.id);
    store.put(&Path::from(key), "{}".into()).await.unwrap();
    let error = publish(&storage, draft).await.unwrap_err();
    assert!(matches!(error, StorageError::Tombstoned { .. }), "{error}");
    assert_eq!(list_checkpoints(&storage).await.unwrap(), []);
}

#[tokio::test]
async fn the_list_has_committed_readable_checkpoints() {
    let store = Arc::new(InMemory::new());
    let storage = Storage::from_store(store.clone(), Path::default());
    assert_eq!(list_checkpoints(&storage).await.unwrap(), []);
    let old = published(&storage, 60).await;
    let new = published(&storage, 0).await;
    for (folder, name, text) in [
        (CheckpointId::generate().to_string(), "manifest.json", "{}"),
        (
            CheckpointId::generate().to_string(),
            "model.safetensors",
            "",
        ),
        ("strange".to_owned(), "manifest.json", "{}"),
    ] {
        let key = Path::from(format!("checkpoints/{folder}/{name}"));
        store.put(&key, text.into()).await.unwrap();
    }
    assert_eq!(list_checkpoints(&storage).await.unwrap(), [new, old]);
}

/// Two interleaved publishers of one id: with equal drafts both succeed, with different ones
/// exactly one does.
#[test]
fn racing_publishers_of_one_id_commit_one_checkpoint() {
    for equal in [true, false] {
        for pattern in 0_u8..64 {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(async {
                let (storage, store) = memory();
                store.set_yields((0..6).map(|bit| pattern >> bit & 1).collect());
                let id = CheckpointId::generate();
                let salts = if equal { [1, 1] } else { [1, 2] };
                let [left, right] = salts.map(|salt| publish(&storage, draft(id, salt, 0)));
                let (left, right) = futures::join!(left, right);
                let won = [&left, &right]
                    .iter()
                    .filter(|outcome| outcome.is_ok())
                    .count();
                assert_eq!(
                    won,
                    if equal { 2 } else { 1 },
                    "{pattern}: {left:?} {right:?}"
                );
                assert_eq!(store.landed().len(), 3);
                let loaded = load(&storage, id).await.unwrap();
                let winner = if left.is_ok() { salts[0] } else { salts[1] };
                assert_eq!(loaded.layers, layers(winner));
            });
        }
    }
}

fn network() -> impl Strategy<Value = (Vec<Layer>, Exam)> {
    let sizes = (
        1_usize..9,
        1_usize..9,
        proptest::collection::vec(1_usize..9, 0..4),
        1_usize..9,
        1_usize..5,
    );
    sizes.prop_flat_map(|(height, width, hidden, classes, images)| {
        let mut sizes = vec![height * width];
        sizes.extend(hidden);
        sizes.push(classes);
        let finite = || any::<f32>().prop_filter("finite", |value| value.is_finite());
        let layers: Vec<_> = sizes
            .windows(2)
            .map(|pair| {
                let (inputs, outputs) = (pair[0], pair[1]);
                let weight = proptest::collection::vec(finite(), outputs * inputs);
                let bias = proptest::collection::vec(finite(), outputs);
                (weight, bias).prop_map(move |(weight, bias)| Layer {
                    outputs,
                    inputs,
                    weight,
                    bias,
                })
            })
            .collect();
        let inputs = proptest::collection::vec(any::<u8>(), images * sizes[0]);
        let logits = proptest::collection::vec(finite(), images * classes);
        let exam = (inputs, logits).prop_map(move |(inputs, logits)| Exam {
            inputs,
            logits,
            images,
        });
        (layers, exam)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_network_comes_back((layers, exam) in network()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut draft = draft(CheckpointId::generate(), 0, 0);
        let (input, classes) = (layers[0].inputs, layers.last().unwrap().outputs);
        let manifest = &mut draft.manifest;
        (manifest.input.height, manifest.input.width) = (1, input);
        manifest.architecture.input_size = input;
        manifest.architecture.hidden = layers[..layers.len() - 1].iter().map(|layer| layer.outputs).collect();
        manifest.architecture.classes = classes;
        manifest.labels = (0..classes).map(|class| class.to_string()).collect();
        draft.model = encode_model(&layers);
        draft.exam = encode_exam(&exam, input, classes);
        prop_assert_eq!(&encode_model(&layers), &draft.model);
        let loaded = runtime.block_on(async {
            let (storage, _) = memory();
            let manifest = publish(&storage, draft).await.unwrap();
            load(&storage, manifest.id).await.unwrap()
        });
        prop_assert_eq!(loaded.layers, layers);
        prop_assert_eq!(loaded.exam, exam);
    }
}
