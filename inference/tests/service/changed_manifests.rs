//! A manifest is served as it was when it was promoted.

use crate::support::{Net, Service, Store};
use digits_checkpoint::{record::Role, sha256_hex};
use digits_proto::v1::GetModelResponse;

fn refused(sequence: u64) -> impl Fn(&GetModelResponse) -> bool {
    move |model| {
        let last = model.last_refusal.as_ref();
        last.is_some_and(|refusal| refusal.sequence == sequence)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_manifest_is_refused_until_it_is_restored_and_promoted_again() {
    let store = Store::new();
    store.serve("sealed", 1, &Net::favouring(1, 1)).await;
    let service = Service::start(&store, "sealed", &["--poll-interval", "10ms"]).await;
    service.serves("sealed", 1).await;

    let id = store.publish(Net::favouring(2, 2).draft("sealed")).await;
    let folder = store.path().join("checkpoints").join(id.to_string());
    let path = folder.join("manifest.json");
    let manifest = std::fs::read_to_string(&path).unwrap();
    let promised = sha256_hex(manifest.as_bytes());
    // Harmless by itself: a reader without the digest would serve it.
    std::fs::write(&path, manifest.replace("job-1", "job-2")).unwrap();
    let route = [(id, Role::Primary, 1.0)];
    store.promised_record("sealed", 2, &route, &promised);
    let model = service.until("sealed", refused(2)).await;
    let refusal = model.last_refusal.unwrap();
    assert_eq!(refusal.reason, "manifest_digest");
    for part in [
        promised.as_str(),
        "restore manifest.json",
        "promote it again",
    ] {
        assert!(
            refusal.message.contains(part),
            "{part}: {}",
            refusal.message
        );
    }
    assert_eq!(model.served[0].sequence, 1, "what serves stays");

    std::fs::write(&path, &manifest).unwrap();
    store.promised_record("sealed", 3, &route, &promised);
    service.serves("sealed", 3).await;

    // Another digest is another manifest, even where the checkpoint is in memory.
    let other = sha256_hex(b"another");
    store.promised_record("sealed", 4, &route, &other);
    let model = service.until("sealed", refused(4)).await;
    assert_eq!(model.served[0].sequence, 3);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_temperature_are_those_of_the_exam_without_a_digest_too() {
    let store = Store::new();
    store.serve("examined", 1, &Net::favouring(1, 1)).await;
    let service = Service::start(&store, "examined", &["--poll-interval", "10ms"]).await;
    service.serves("examined", 1).await;
    for (sequence, (from, to)) in (2..).zip([
        ("\"label 3\"", "\"label s\""),
        ("\"temperature\": 1.0", "\"temperature\": 1.1"),
    ]) {
        let id = store.publish(Net::favouring(2, 2).draft("examined")).await;
        let folder = store.path().join("checkpoints").join(id.to_string());
        let path = folder.join("manifest.json");
        let manifest = std::fs::read_to_string(&path).unwrap();
        assert!(manifest.contains(from), "{manifest}");
        std::fs::write(&path, manifest.replace(from, to)).unwrap();
        store.record("examined", sequence, &[(id, Role::Primary, 1.0)]);
        let model = service.until("examined", refused(sequence)).await;
        assert_eq!(model.last_refusal.unwrap().reason, "exam");
        assert_eq!(model.served[0].sequence, 1);
    }
    service.end().await;
}
