//! Every flipped bit of a promoted manifest: refused, or what users get stays the same.

use super::support::{draft, memory};
use digits_checkpoint::{
    LoadError, Loaded, Refusal, RefusalReason, Storage, fetch,
    id::{CheckpointId, ModelName},
    manifest::Manifest,
    publish,
    record::{Role, Route},
    serving::{AppendError, Candidate, PromotionError, drop_candidates, promote, rollback},
};
use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};
use std::sync::Arc;

/// A checkpoint whose record was promoted, and the stored bytes.
struct Promoted {
    store: Arc<InMemory>,
    storage: Storage,
    route: Route,
    manifest: Vec<u8>,
    key: Path,
}

async fn promoted() -> Promoted {
    let store = Arc::new(InMemory::new());
    let storage = Storage::from_store(store.clone(), Path::default());
    let mut draft = draft(CheckpointId::generate(), 1, 0);
    draft.manifest.temperature = 1.375;
    draft.manifest.labels = ["cat", "dog", "7"].map(str::to_owned).to_vec();
    let id = publish(&storage, draft).await.unwrap().id;
    let candidate = primary(id);
    let record = promote(&storage, &ModelName::default(), 0, candidate, "").await;
    let key = Path::from(format!("checkpoints/{id}/manifest.json"));
    let manifest = store.get(&key).await.unwrap().bytes().await.unwrap();
    Promoted {
        route: record.unwrap().routes[0].clone(),
        manifest: manifest.to_vec(),
        store,
        storage,
        key,
    }
}

fn primary(checkpoint: CheckpointId) -> Candidate {
    Candidate {
        checkpoint,
        role: Role::Primary,
        share: None,
    }
}

impl Promoted {
    async fn write(&self, manifest: Vec<u8>) {
        self.store.put(&self.key, manifest.into()).await.unwrap();
    }

    async fn load(&self, promised: Option<&str>) -> Result<Loaded, LoadError> {
        let fetched = fetch(&self.storage, self.route.checkpoint, promised).await?;
        Ok(fetched.verify()?)
    }
}

/// The manifest with one bit flipped, for each of its bits.
fn flips(manifest: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..manifest.len() * 8).map(|bit| {
        let mut flipped = manifest.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit, flipped)
    })
}

/// The probabilities of the exam's logits, as users get them.
fn probabilities(loaded: &Loaded) -> Vec<f64> {
    let temperature = loaded.manifest.temperature;
    let rows = loaded
        .exam
        .logits
        .chunks_exact(loaded.manifest.labels.len());
    rows.flat_map(|row| {
        let exponentials = row.iter().map(|z| (f64::from(*z) / temperature).exp());
        let sum: f64 = exponentials.clone().sum();
        exponentials.map(move |it| it / sum).collect::<Vec<_>>()
    })
    .collect()
}

#[tokio::test]
async fn no_bit_of_a_promoted_manifest_can_change() {
    let promoted = promoted().await;
    let promised = promoted.route.manifest_sha256.as_deref();
    promoted.load(promised).await.unwrap();
    for (bit, flipped) in flips(&promoted.manifest) {
        promoted.write(flipped).await;
        match promoted.load(promised).await {
            Err(LoadError::Refused(Refusal { reason, message })) => {
                assert_eq!(reason, RefusalReason::ManifestDigest, "bit {bit}");
                assert!(message.contains(promised.unwrap()), "{message}");
                assert!(message.contains("restore"), "{message}");
            }
            other => panic!("bit {bit}: {other:?}"),
        }
    }
}

/// Records of older programs have no digest: there the exam protects what users get.
#[tokio::test]
async fn no_bit_of_labels_or_temperature_can_change_without_a_digest() {
    let promoted = promoted().await;
    let right = promoted.load(None).await.unwrap();
    let mut caught_by_the_exam = 0;
    for (bit, flipped) in flips(&promoted.manifest) {
        let parsed = serde_json::from_slice::<Manifest>(&flipped);
        let valid =
            parsed.is_ok_and(|it| it.id == promoted.route.checkpoint && it.validate().is_ok());
        promoted.write(flipped).await;
        match promoted.load(None).await {
            Ok(loaded) => {
                assert_eq!(loaded.manifest.labels, right.manifest.labels, "bit {bit}");
                let both = probabilities(&loaded);
                for (given, right) in both.iter().zip(probabilities(&right)) {
                    assert!((given - right).abs() < 1e-5, "bit {bit}: {given} {right}");
                }
            }
            Err(LoadError::Refused(refusal)) => {
                let by_exam = valid && refusal.reason == RefusalReason::Exam;
                caught_by_the_exam += u32::from(by_exam);
            }
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
    assert!(caught_by_the_exam > 50, "{caught_by_the_exam}");
}

#[tokio::test]
async fn a_changed_manifest_is_not_served_again() {
    let (storage, store) = memory();
    let model = ModelName::default();
    let mut ids = Vec::new();
    for salt in 1..4 {
        let draft = draft(CheckpointId::generate(), salt, 0);
        ids.push(publish(&storage, draft).await.unwrap().id);
    }
    promote(&storage, &model, 0, primary(ids[0]), "")
        .await
        .unwrap();
    promote(&storage, &model, 1, primary(ids[1]), "")
        .await
        .unwrap();
    let canary = Candidate {
        role: Role::Canary,
        share: Some(0.1),
        ..primary(ids[2])
    };
    promote(&storage, &model, 2, canary, "").await.unwrap();

    let expected = digits_checkpoint::serving::record(&storage, &model, 1).await;
    let expected = expected.unwrap().unwrap().routes[0].manifest_sha256.clone();
    for id in &ids[..2] {
        let key = Path::from(format!("a/prefix/checkpoints/{id}/manifest.json"));
        let bytes = store.get(&key).await.unwrap().bytes().await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let changed = text.replace("\"0\"", "\"zero\"");
        assert_ne!(changed, text);
        store.delete(&key).await.unwrap();
        store.put(&key, changed.into()).await.unwrap();
    }
    let refused = [
        rollback(&storage, &model, 3, 1, "").await,
        drop_candidates(&storage, &model, 3, "").await,
        promote(&storage, &model, 3, canary, "").await,
    ];
    for (index, outcome) in refused.into_iter().enumerate() {
        let Err(AppendError::Refused(PromotionError::ManifestChanged { id, .. })) = &outcome else {
            panic!("{index}: {outcome:?}")
        };
        assert_eq!(*id, if index == 0 { ids[0] } else { ids[1] });
        let message = outcome.unwrap_err().to_string();
        assert!(
            index > 0 || message.contains(&expected.clone().unwrap()),
            "{message}"
        );
    }
    // An operator who has looked at it can promote it as it is now.
    promote(&storage, &model, 3, primary(ids[0]), "")
        .await
        .unwrap();
}
