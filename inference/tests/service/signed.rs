//! Trusted keys: only what they signed is served, and nothing older than what was seen.

use crate::support::{Net, Service, Store};
use digits_checkpoint::{
    Keys, Storage,
    id::{CheckpointId, ModelName},
    record::Role,
    serving::{Candidate, promote, rollback, sign},
};
use digits_inference::loader::Highest;
use digits_proto::v1::GetModelResponse;
use std::{fs, path::PathBuf};

/// The first test key of RFC 8032.
const PRIVATE: &[u8] =
    include_bytes!("../../../crates/checkpoint/tests/golden/ed25519-private.pem");
const PUBLIC: &str = include_str!("../../../crates/checkpoint/tests/golden/ed25519-public.pem");

/// A storage, what signs it, and a replica that trusts that key alone.
struct Signed {
    store: Store,
    signing: Storage,
    model: ModelName,
    keys: PathBuf,
    state: PathBuf,
}

impl Signed {
    fn new(model: &str) -> Self {
        let store = Store::new();
        let keys = store.folder.path().join("keys.pem");
        fs::write(&keys, PUBLIC).unwrap();
        let signing = store.storage.clone();
        Self {
            signing: signing.with_keys(Keys::signing(PRIVATE).unwrap()),
            model: model.parse().unwrap(),
            state: store.folder.path().join("state"),
            keys,
            store,
        }
    }

    async fn start(&self, more: &[&str]) -> Service {
        let (keys, state) = (self.keys.to_str().unwrap(), self.state.to_str().unwrap());
        let flags = ["--trusted-keys", keys, "--state", state];
        let flags = [&["--poll-interval", "10ms"], &flags[..], more].concat();
        Service::start(&self.store, self.model.as_str(), &flags).await
    }

    async fn publish(&self, net: &Net) -> CheckpointId {
        let draft = net.draft(self.model.as_str());
        let published = digits_checkpoint::publish(&self.signing, draft).await;
        published.unwrap().id
    }

    /// Serves a checkpoint by the record after `expected`, signed.
    async fn serve(&self, expected: u64, checkpoint: CheckpointId) {
        let candidate = Candidate {
            checkpoint,
            role: Role::Primary,
            share: None,
        };
        let promoted = promote(&self.signing, &self.model, expected, candidate, "").await;
        assert_eq!(promoted.unwrap().sequence, expected + 1);
    }

    fn remove_record(&self, sequence: u64) {
        let log = self.store.path().join(format!("serving/{}", self.model));
        fs::remove_file(log.join(format!("{sequence:020}.json"))).unwrap();
    }

    /// Waits until record `sequence` is refused for `reason`.
    async fn refuses(&self, service: &Service, sequence: u64, reason: &str) -> GetModelResponse {
        let is_refused = |model: &GetModelResponse| {
            let last = model.last_refusal.as_ref();
            last.is_some_and(|it| it.sequence == sequence && it.reason == reason)
        };
        service.until(self.model.as_str(), is_refused).await
    }
}

fn message(model: &GetModelResponse) -> &str {
    let last = model.last_refusal.as_ref();
    last.map_or("", |refusal| refusal.message.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_trusted_keys_signed_is_served() {
    let signed = Signed::new("signed");
    let store = &signed.store;

    // As it was before there were keys.
    store.serve("signed", 1, &Net::favouring(1, 1)).await;
    let service = signed.start(&[]).await;
    let waiting = signed.refuses(&service, 1, "signature").await;
    assert!(waiting.served.is_empty() && !service.is_serving().await);
    assert!(message(&waiting).contains("it is not signed"));
    let by = sign(&signed.signing, &signed.model, "op").await;
    by.unwrap().unwrap();
    service.serves("signed", 2).await;

    // Somebody with access to the storage alone.
    let id = store.publish(Net::favouring(3, 3).draft("signed")).await;
    store.record("signed", 3, &[(id, Role::Primary, 1.0)]);
    let model = signed.refuses(&service, 3, "signature").await;
    assert_eq!((model.served[0].sequence, model.behind_head), (2, 1));
    let refusals = "digits_inference_refusals_total{model=\"signed\",reason=\"signature\"}";
    service.until_series(refusals, |value| value == 2.0).await;

    // A forged record right after a signed one hides it from nobody.
    let new = signed.publish(&Net::favouring(4, 4)).await;
    signed.serve(3, new).await;
    store.record("signed", 5, &[(id, Role::Primary, 1.0)]);
    service.serves("signed", 4).await;
    signed.refuses(&service, 5, "signature").await;
    service.end().await;
    let service = signed.start(&[]).await;
    let model = service.serves("signed", 4).await;
    assert_eq!(model.head_sequence, 5);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_that_is_older_than_one_seen_is_served() {
    let signed = Signed::new("replayed");
    let first = signed.publish(&Net::favouring(1, 1)).await;
    signed.serve(0, first).await;
    let service = signed.start(&[]).await;
    service.serves("replayed", 1).await;

    // The files of the next one are damaged.
    let damaged = signed.publish(&Net::favouring(2, 2)).await;
    let weights = signed
        .store
        .path()
        .join(format!("checkpoints/{damaged}/model.safetensors"));
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    signed.serve(1, damaged).await;
    let model = signed.refuses(&service, 2, "digest").await;
    assert_eq!(model.served[0].sequence, 1);
    service.end().await;
    let remembered = || Highest::open(Some(&signed.state), &signed.model).unwrap();
    assert_eq!(remembered().sequence(), 2);

    // A restart does not go back, but for a record that says so.
    let service = signed.start(&[]).await;
    let model = signed.refuses(&service, 2, "digest").await;
    assert!(model.served.is_empty() && !service.is_serving().await);
    let back = rollback(&signed.signing, &signed.model, 2, 1, "op").await;
    assert_eq!(back.unwrap().primary(), Some(first));
    service.serves("replayed", 3).await;
    service.end().await;

    // Newer records are withheld from a replica that starts.
    for sequence in [2, 3] {
        signed.remove_record(sequence);
    }
    let service = signed.start(&[]).await;
    let model = signed.refuses(&service, 1, "replay").await;
    assert!(model.served.is_empty(), "{model:?}");
    let text = message(&model);
    assert!(text.contains("record 3 was seen before"), "{text}");
    service.end().await;

    // An operator may still go back on this replica.
    let service = signed.start(&["--pin", "replayed=1"]).await;
    service.serves("replayed", 1).await;
    service.end().await;
    assert_eq!(remembered().sequence(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_folder_the_highest_record_is_remembered_in_memory() {
    let signed = Signed::new("withheld");
    let id = signed.publish(&Net::favouring(1, 1)).await;
    for expected in 0..2 {
        signed.serve(expected, id).await;
    }
    let keys = [
        "--poll-interval",
        "10ms",
        "--trusted-keys",
        signed.keys.to_str().unwrap(),
    ];
    let service = Service::start(&signed.store, "withheld", &keys).await;
    service.serves("withheld", 2).await;
    signed.remove_record(2);
    let gone = |model: &GetModelResponse| !model.storage_faults.is_empty();
    let model = service.until("withheld", gone).await;
    assert_eq!(model.served[0].sequence, 2);
    // Another record of this number is followed: it was signed.
    signed
        .serve(1, signed.publish(&Net::favouring(5, 5)).await)
        .await;
    let replaced = "digits_inference_log_replacements_total{model=\"withheld\"}";
    service.until_series(replaced, |value| value == 1.0).await;
    service.end().await;
}
