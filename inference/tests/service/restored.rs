//! A checkpoint whose files were damaged is served once they are restored.

use crate::support::{Net, Service, Store};
use digits_checkpoint::record::Role;
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_is_served_once_its_files_are_restored() {
    let store = Store::new();
    store.serve("restored", 1, &Net::favouring(1, 1)).await;
    let service = Service::start(&store, "restored", &["--poll-interval", "10ms"]).await;
    service.serves("restored", 1).await;
    for (sequence, name, reason) in [
        (2, "model.safetensors", "digest"),
        (3, "exam.safetensors", "size"),
        (4, "manifest.json", "manifest"),
    ] {
        let id = store.publish(Net::favouring(2, 2).draft("restored")).await;
        let file = store.path().join(format!("checkpoints/{id}/{name}"));
        let whole = fs::read(&file).unwrap();
        let mut damaged = whole.clone();
        match reason {
            "digest" => *damaged.last_mut().unwrap() ^= 1,
            _ => damaged.truncate(whole.len() / 2),
        }
        fs::write(&file, damaged).unwrap();
        store.record("restored", sequence, &[(id, Role::Primary, 1.0)]);
        let model = service
            .until("restored", |model| {
                let last = model.last_refusal.as_ref();
                last.is_some_and(|last| last.sequence == sequence && last.reason == reason)
            })
            .await;
        assert_eq!(model.served[0].sequence, sequence - 1);
        fs::write(&file, whole).unwrap();
        service.serves("restored", sequence).await;
    }
    // Each was counted once, however often it was tried.
    let refused = "digits_inference_reloads_total{model=\"restored\",result=\"refused\"}";
    service.until_series(refused, |value| value == 3.0).await;
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_checkpoint_is_served_at_once_when_it_is_promoted_again() {
    let store = Store::new();
    store.serve("repaired", 1, &Net::favouring(1, 1)).await;
    // An attempt of its own would come after a minute.
    let service = Service::start(&store, "repaired", &["--poll-interval", "1500ms"]).await;
    service.serves("repaired", 1).await;
    let id = store.publish(Net::favouring(2, 2).draft("repaired")).await;
    let file = store
        .path()
        .join(format!("checkpoints/{id}/model.safetensors"));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[1..]).unwrap();
    store.record("repaired", 2, &[(id, Role::Primary, 1.0)]);
    let refused = |model: &digits_proto::v1::GetModelResponse| model.last_refusal.is_some();
    service.until("repaired", refused).await;
    fs::write(&file, whole).unwrap();
    store.record("repaired", 3, &[(id, Role::Primary, 1.0)]);
    service.serves("repaired", 3).await;
    service.end().await;
}
