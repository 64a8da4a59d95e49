//! Faults of the storage's serving log: shown, survived, and recovered from without a restart.

use crate::support::{Net, Service, Store, image, pixels};
use digits_checkpoint::record::Role;
use digits_proto::v1::GetModelResponse;

fn kinds(model: &GetModelResponse) -> Vec<&str> {
    let faults = model.storage_faults.iter();
    faults.map(|fault| fault.kind.as_str()).collect()
}

fn fault(model: &str, kind: &str) -> String {
    format!("digits_inference_storage_fault{{model=\"{model}\",fault=\"{kind}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_storage_is_shown_and_its_log_followed() {
    let store = Store::new();
    let net = Net::favouring(1, 1);
    store.serve("swapped", 6, &net).await;
    store.serve("swapped", 7, &net).await;
    let service = Service::start(&store, "swapped", &["--poll-interval", "10ms"]).await;
    service.serves("swapped", 7).await;
    let mut client = service.client().await;

    std::fs::rename(store.path(), store.folder.path().join("away")).unwrap();
    std::fs::create_dir(store.path()).unwrap();
    let model = service
        .until("swapped", |model| kinds(model) == ["record_gone"])
        .await;
    assert!(model.storage_faults[0].message.contains("record 7 is gone"));
    service
        .until_series(&fault("swapped", "record_gone"), |value| value == 1.0)
        .await;
    let answer = client.predict(pixels("swapped", image(1))).await.unwrap();
    assert_eq!(answer.into_inner().served_by.unwrap().sequence, 7);

    // Somebody publishes to the new one, under a number that the old one had, too.
    store.serve("swapped", 6, &Net::favouring(2, 2)).await;
    let model = service.serves("swapped", 6).await;
    assert_eq!((model.head_sequence, model.behind_head), (6, 0));
    assert_eq!(kinds(&model), [""; 0]);
    let replaced = "digits_inference_log_replacements_total{model=\"swapped\"}";
    service.until_series(replaced, |value| value == 1.0).await;
    service
        .until_series(&fault("swapped", "record_gone"), |value| value == 0.0)
        .await;
    let answer = client.predict(pixels("swapped", image(1))).await.unwrap();
    assert_eq!(answer.into_inner().predictions[0].label_index, Some(2));
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stray_files_and_folders_are_shown_until_they_are_gone() {
    let store = Store::new();
    let id = store.serve("strays", 1, &Net::favouring(1, 1)).await;
    let service = Service::start(&store, "strays", &["--poll-interval", "10ms"]).await;
    service.serves("strays", 1).await;
    store.record("strays", u64::MAX, &[(id, Role::Primary, 1.0)]);
    let log = store.path().join("serving/strays");
    let folder = log.join(format!("{:020}.json", 2));
    std::fs::create_dir(&folder).unwrap();
    let model = service.until("strays", |model| model.storage_faults.len() == 2);
    assert_eq!(kinds(&model.await), ["stray_record", "name_taken"]);
    for kind in ["stray_record", "name_taken"] {
        let series = fault("strays", kind);
        service.until_series(&series, |value| value == 1.0).await;
    }
    std::fs::remove_dir(&folder).unwrap();
    store.record("strays", 2, &[(id, Role::Primary, 1.0)]);
    let model = service.serves("strays", 2).await;
    assert_eq!(model.head_sequence, 2, "the stray one is no head");
    std::fs::remove_file(log.join(format!("{}.json", u64::MAX))).unwrap();
    service
        .until("strays", |model| model.storage_faults.is_empty())
        .await;
    service.end().await;
}
