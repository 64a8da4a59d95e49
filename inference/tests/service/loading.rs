//! Loading of checkpoints: hot loads, refusals, a fresh replica, a storage that fails.

use crate::support::{Damage, Net, Service, Store, admin, image, pixels, series};
use digits_checkpoint::record::Role;
use digits_proto::v1::ServingRole;
use digits_service::health_check;
use digits_testing::until;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tonic::Code;
use tonic_types::StatusExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_replica_serves_its_record_and_no_other() {
    let store = Store::new();
    store.serve("kept", 1, &Net::favouring(1, 1)).await;
    let service = Service::start(&store, "kept", &["--pin", "kept=2"]).await;
    // First another record than the head, then the next one.
    let waiting = service
        .until("kept", |model| model.head_sequence == 1)
        .await;
    assert_eq!(
        (waiting.served.len(), waiting.pinned_sequence),
        (0, 2),
        "{waiting:?}"
    );
    assert!(!service.is_serving().await);
    store.serve("kept", 2, &Net::favouring(2, 2)).await;
    service.serves("kept", 2).await;
    service.becomes_serving().await;
    store.serve("kept", 3, &Net::favouring(3, 3)).await;
    let behind = service
        .until("kept", |model| model.head_sequence == 3)
        .await;
    assert_eq!((behind.served[0].sequence, behind.behind_head), (2, 1));
    let mut client = service.client().await;
    let answer = client.predict(pixels("kept", image(1))).await.unwrap();
    assert_eq!(answer.into_inner().predictions[0].label_index, Some(2));
    service.end().await;

    // One whose record is refused serves nothing else.
    store
        .serve_damaged("kept", 4, &Net::favouring(4, 4), Damage::WrongExam)
        .await;
    let service = Service::start(&store, "kept", &["--pin", "kept=4"]).await;
    let refused = service
        .until("kept", |model| model.last_refusal.is_some())
        .await;
    assert_eq!(refused.last_refusal.unwrap().sequence, 4);
    assert!(refused.served.is_empty());
    service.end().await;

    // A fresh replica that finds a newer head.
    let service = Service::start(&store, "kept", &["--pin", "kept=1"]).await;
    let first = service.serves("kept", 1).await;
    assert_eq!(first.pinned_sequence, 1);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_ready_until_the_first_checkpoint() {
    let store = Store::new();
    let service = Service::start(&store, "early", &[]).await;
    let mut client = service.client().await;
    let status = client.predict(pixels("early", image(1))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.get_details_retry_info().is_some());
    assert!(admin(&service, "/readyz").await.0.contains("503"));
    assert!(!service.is_serving().await);
    let admin_address = service.addresses.admin;
    let check = tokio::task::spawn_blocking(move || health_check::check(admin_address));
    let error = check.await.unwrap().unwrap_err();
    assert!(error.to_string().starts_with("not ready: "), "{error}");

    store.serve("early", 1, &Net::favouring(3, 1)).await;
    service.serves("early", 1).await;
    assert_eq!(
        client
            .predict(pixels("early", image(1)))
            .await
            .unwrap()
            .into_inner()
            .predictions
            .len(),
        1
    );
    service.becomes_serving().await;
    assert!(admin(&service, "/readyz").await.0.contains("200"));
    let check = tokio::task::spawn_blocking(move || health_check::check(admin_address));
    check.await.unwrap().unwrap();
    service.end().await;
}

/// The network of sequence n predicts n mod 10: a response whose label and sequence do not match
/// is torn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_loads_under_load_fail_no_request() {
    let store = Store::new();
    let net = |sequence: u64| Net::favouring((sequence % 10) as usize, sequence);
    store.serve("swap", 1, &net(1)).await;
    let service = Service::start(&store, "swap", &[]).await;
    service.serves("swap", 1).await;
    let stop = Arc::new(AtomicBool::new(false));
    let newest = Arc::new(AtomicU64::new(0));
    let mut callers = Vec::new();
    for images in [1_usize, 12] {
        let (mut client, stop, newest) = (
            service.client().await,
            Arc::clone(&stop),
            Arc::clone(&newest),
        );
        callers.push(tokio::spawn(async move {
            let mut answered = 0_u64;
            let mut last = 0;
            while !stop.load(Ordering::Relaxed) {
                let answer = client
                    .predict(pixels("swap", image(2).repeat(images)))
                    .await
                    .unwrap()
                    .into_inner();
                let sequence = answer.served_by.unwrap().sequence;
                assert!(
                    sequence >= last,
                    "the version went back from {last} to {sequence}"
                );
                last = sequence;
                newest.fetch_max(sequence, Ordering::Relaxed);
                assert_eq!(answer.predictions.len(), images);
                for prediction in answer.predictions {
                    assert_eq!(u64::from(prediction.label_index.unwrap()), sequence % 10);
                }
                answered += 1;
            }
            answered
        }));
    }
    for sequence in 2..=8 {
        store.serve("swap", sequence, &net(sequence)).await;
        let answered = until("the new sequence answers", async || {
            Ok((newest.load(Ordering::Relaxed) >= sequence).then_some(()))
        });
        answered.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.unwrap() > 0);
    }
    let (_, text) = admin(&service, "/metrics").await;
    let served = service.serves("swap", 8).await.served[0]
        .checkpoint
        .clone()
        .unwrap();
    let named: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("digits_inference_model_info{model=\"swap\""))
        .collect();
    assert_eq!(named.len(), 1, "only what is served is named: {named:?}");
    assert!(
        named[0].contains(&served.checkpoint_id) && named[0].ends_with(" 1"),
        "{named:?}"
    );
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_checkpoints_are_refused() {
    let store = Store::new();
    let net = Net::favouring(4, 9);
    store.serve("bad", 1, &net).await;
    let service = Service::start(&store, "bad", &["--poll-interval", "10ms"]).await;
    service.serves("bad", 1).await;
    let mut client = service.client().await;
    let cases = [
        (Damage::Truncated, "size"),
        (Damage::HalfWritten, "size"),
        (Damage::BitFlip, "digest"),
        (Damage::NotANumber, "not_finite"),
        (Damage::WrongShape, "shape"),
        (Damage::WrongExam, "exam"),
        (Damage::BrokenManifest, "manifest"),
        (Damage::NewerFormat, "format"),
        (Damage::BrokenHeader, "header"),
        (Damage::OtherArchitecture, "architecture"),
    ];
    for (index, (damage, reason)) in cases.into_iter().enumerate() {
        let sequence = index as u64 + 2;
        let id = store.serve_damaged("bad", sequence, &net, damage).await;
        let refused = |sequence: u64| move |it: &_| last_refused(it) == Some(sequence);
        let model = service.until("bad", refused(sequence)).await;
        let refusal = model.last_refusal.unwrap();
        assert_eq!(refusal.reason, reason, "{damage:?}: {}", refusal.message);
        assert_eq!(refusal.checkpoint_id, id.to_string());
        assert!(
            !refusal.message.is_empty() && !refusal.message.contains("storage/"),
            "{}",
            refusal.message
        );
        assert_eq!(
            (model.head_sequence, model.behind_head),
            (sequence, sequence - 1)
        );
        assert_eq!(model.served[0].sequence, 1, "{damage:?}");
        assert!(model.refusals[reason] >= 1);
        let answer = client
            .predict(pixels("bad", image(1)))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.served_by.unwrap().sequence, 1);
    }
    // A record that is no record, and then a good one: nothing before stops it.
    store.raw_record("bad", 12, b"{}");
    let model = service
        .until("bad", |it| last_refused(it) == Some(12))
        .await;
    assert_eq!(model.last_refusal.unwrap().reason, "format");
    store.serve("bad", 13, &Net::favouring(5, 10)).await;
    let model = service.serves("bad", 13).await;
    assert_eq!(model.behind_head, 0);
    assert_eq!(
        model.refusals.values().sum::<u64>(),
        11,
        "each was counted once: {:?}",
        model.refusals
    );
    let loaded = "digits_inference_reloads_total{model=\"bad\",result=\"loaded\"}";
    service.until_series(loaded, |value| value == 2.0).await;
    let (_, text) = admin(&service, "/metrics").await;
    for (reason, count) in [
        ("size", 2.0),
        ("digest", 1.0),
        ("not_finite", 1.0),
        ("exam", 1.0),
        ("format", 2.0),
    ] {
        let name = format!("digits_inference_refusals_total{{model=\"bad\",reason=\"{reason}\"}}");
        assert_eq!(series(&text, &name), Some(count), "{name}\n{text}");
    }
    assert_eq!(
        series(
            &text,
            "digits_inference_reloads_total{model=\"bad\",result=\"refused\"}"
        ),
        Some(11.0)
    );
    service.end().await;
}

fn last_refused(model: &digits_proto::v1::GetModelResponse) -> Option<u64> {
    model.last_refusal.as_ref().map(|refusal| refusal.sequence)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_replica_serves_the_newest_valid_record() {
    let store = Store::new();
    store.serve("fresh", 1, &Net::favouring(1, 1)).await;
    store.serve("fresh", 2, &Net::favouring(2, 2)).await;
    store
        .serve_damaged("fresh", 3, &Net::favouring(3, 3), Damage::BitFlip)
        .await;
    store.raw_record("fresh", 4, b"not JSON");
    store
        .serve_damaged("fresh", 5, &Net::favouring(5, 5), Damage::WrongExam)
        .await;
    let service = Service::start(&store, "fresh", &["--poll-interval", "10ms"]).await;
    let model = service.serves("fresh", 2).await;
    assert_eq!((model.head_sequence, model.behind_head), (5, 3));
    assert_eq!(
        model.refusals.values().sum::<u64>(),
        3,
        "{:?}",
        model.refusals
    );
    assert_eq!(model.last_refusal.unwrap().sequence, 5);
    store.serve("fresh", 6, &Net::favouring(6, 6)).await;
    assert_eq!(service.serves("fresh", 6).await.behind_head, 0);
    service.end().await;

    // An unreadable head and no other record; then a good one follows.
    let store = Store::new();
    store.raw_record("fresh", 1, b"{\"format\":99}");
    let service = Service::start(&store, "fresh", &["--poll-interval", "10ms"]).await;
    service
        .until("fresh", |it| last_refused(it) == Some(1))
        .await;
    store.serve("fresh", 2, &Net::favouring(6, 6)).await;
    service.serves("fresh", 2).await;
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_files_are_retried() {
    let store = Store::new();
    store.serve("late", 1, &Net::favouring(1, 1)).await;
    let service = Service::start(&store, "late", &["--poll-interval", "10ms"]).await;
    service.serves("late", 1).await;
    // A record is seen before the checkpoint's commit, as a lagging file system shows it.
    let id = store.publish(Net::favouring(2, 2).draft("late")).await;
    let manifest = store.path().join(format!("checkpoints/{id}/manifest.json"));
    let hidden = store.folder.path().join("hidden");
    std::fs::rename(&manifest, &hidden).unwrap();
    store.record("late", 2, &[(id, Role::Primary, 1.0)]);
    let model = service
        .until("late", |model| model.head_sequence == 2)
        .await;
    assert_eq!(
        (
            model.served[0].sequence,
            model.behind_head,
            model.last_refusal
        ),
        (1, 1, None)
    );
    let failed = "digits_inference_reloads_total{model=\"late\",result=\"failed\"}";
    service.until_series(failed, |value| value >= 2.0).await;
    std::fs::rename(hidden, manifest).unwrap();
    assert_eq!(service.serves("late", 2).await.behind_head, 0);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_outage_unloads_nothing() {
    let store = Store::new();
    store.serve("outage", 1, &Net::favouring(1, 1)).await;
    let service = Service::start(&store, "outage", &["--poll-interval", "10ms"]).await;
    let before = service.serves("outage", 1).await.storage_read_at.unwrap();
    // A file where the log's folder was: neither readable nor missing.
    let (log, away) = (
        store.path().join("serving"),
        store.folder.path().join("away"),
    );
    std::fs::rename(&log, &away).unwrap();
    std::fs::write(&log, b"").unwrap();
    let failed = "digits_inference_reloads_total{model=\"outage\",result=\"failed\"}";
    service.until_series(failed, |value| value >= 1.0).await;
    let mut client = service.client().await;
    client.predict(pixels("outage", image(1))).await.unwrap();
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&away, &log).unwrap();
    store.serve("outage", 2, &Net::favouring(2, 2)).await;
    let after = service.serves("outage", 2).await.storage_read_at.unwrap();
    assert!((after.seconds, after.nanos) > (before.seconds, before.nanos));
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_are_loaded_with_the_primary() {
    let store = Store::new();
    let primary = store.publish(Net::favouring(1, 1).draft("pair")).await;
    let canary = store.publish(Net::favouring(2, 2).draft("pair")).await;
    store.record(
        "pair",
        1,
        &[(canary, Role::Canary, 0.5), (primary, Role::Primary, 0.5)],
    );
    let service = Service::start(&store, "pair", &["--poll-interval", "10ms"]).await;
    let model = service.serves("pair", 1).await;
    let roles: Vec<ServingRole> = model.served.iter().map(|served| served.role()).collect();
    assert_eq!(roles, [ServingRole::Primary, ServingRole::Canary]);
    let since = model.served[0].since;
    let mut client = service.client().await;
    for _ in 0..20 {
        let answer = client
            .predict(pixels("pair", image(1)))
            .await
            .unwrap()
            .into_inner();
        let by = answer.served_by.unwrap().checkpoint_id;
        assert!([primary.to_string(), canary.to_string()].contains(&by));
    }
    // The same primary under a new record is not loaded again.
    store.record("pair", 2, &[(primary, Role::Primary, 1.0)]);
    let model = service.serves("pair", 2).await;
    assert_eq!(model.served.len(), 1);
    assert_eq!(model.served[0].since, since);
    service.end().await;
}
