//! Canaries and shadows: which checkpoint answers, and candidates that cannot be served.

use crate::support::{Client, Damage, Net, Service, Store, admin, image, pixels, series};
use digits_checkpoint::{
    id::CheckpointId,
    record::Role,
    serving::{Candidate, promote},
};
use digits_proto::v1::{
    GetModelResponse, PredictRequest, PredictResponse, ReportOutcomeRequest, ServingRole,
};
use std::collections::{BTreeMap, BTreeSet};
use tonic::Code;

fn keyed(model: &str, key: &str) -> PredictRequest {
    PredictRequest {
        routing_key: key.into(),
        ..pixels(model, image(1))
    }
}

async fn predict(client: &mut Client, request: PredictRequest) -> PredictResponse {
    client.predict(request).await.unwrap().into_inner()
}

/// The label and the part that answered.
fn served_by(answer: &PredictResponse) -> (u32, ServingRole) {
    let served = answer.served_by.as_ref().unwrap();
    (answer.predictions[0].label_index.unwrap(), served.role())
}

async fn metric(service: &Service, name: &str) -> f64 {
    let (_, text) = admin(service, "/metrics").await;
    series(&text, name).unwrap_or(f64::NAN)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_gets_its_share_and_always_the_same_keys() {
    let store = Store::new();
    let primary = store.publish(Net::favouring(1, 1).draft("canary")).await;
    let canary = store.publish(Net::favouring(2, 2).draft("canary")).await;
    let with_candidates = |share: f64| {
        [
            (primary, Role::Primary, 1.0 - share),
            (canary, Role::Canary, share),
        ]
    };
    store.record("canary", 1, &with_candidates(0.3));
    let service = Service::start(&store, "canary", &["--poll-interval", "10ms"]).await;
    let model = service.serves("canary", 1).await;
    assert_eq!(
        model.served.iter().map(|it| it.share).collect::<Vec<_>>(),
        [0.7, 0.3]
    );
    let mut client = service.client().await;
    let mut parts = BTreeMap::new();
    for number in 0..400 {
        let key = format!("user-{number}");
        let answer = predict(&mut client, keyed("canary", &key)).await;
        let (label, role) = served_by(&answer);
        let expected = match role {
            ServingRole::Canary => (2, canary),
            _ => (1, primary),
        };
        let served = answer.served_by.unwrap();
        assert_eq!(
            (label, served.checkpoint_id),
            (expected.0, expected.1.to_string())
        );
        assert_eq!(served.sequence, 1);
        parts.insert(key, role);
    }
    let canaries = parts
        .values()
        .filter(|&&role| role == ServingRole::Canary)
        .count();
    // Four standard deviations of a binomial: 4 · √(400 · 0.3 · 0.7) = 37.
    assert!(
        (83..=157).contains(&canaries),
        "{canaries} of 400 at a share of 0.3"
    );
    for (key, role) in &parts {
        assert_eq!(
            served_by(&predict(&mut client, keyed("canary", key)).await).1,
            *role,
            "{key}"
        );
    }
    // Without a key it is left to chance.
    let mut random = 0;
    for _ in 0..400 {
        random += usize::from(
            served_by(&predict(&mut client, pixels("canary", image(1))).await).1
                == ServingRole::Canary,
        );
    }
    assert!((83..=157).contains(&random), "{random} of 400 at random");
    for (role, expected) in [
        ("canary", 2 * canaries + random),
        ("primary", 1_200 - 2 * canaries - random),
    ] {
        let name = format!(
            "digits_inference_answer_duration_seconds_count{{model=\"canary\",method=\"Predict\",role=\"{role}\"}}"
        );
        assert_eq!(metric(&service, &name).await, expected as f64, "{role}");
    }

    // A growing share keeps those that it has.
    store.record("canary", 2, &with_candidates(0.6));
    service.serves("canary", 2).await;
    for (key, role) in &parts {
        let now = served_by(&predict(&mut client, keyed("canary", key)).await).1;
        assert!(
            *role != ServingRole::Canary || now == ServingRole::Canary,
            "{key} was lost"
        );
    }
    // Dropped: the primary has it all again.
    store.record("canary", 3, &[(primary, Role::Primary, 1.0)]);
    service.serves("canary", 3).await;
    for key in parts.keys() {
        assert_eq!(
            served_by(&predict(&mut client, keyed("canary", key)).await),
            (1, ServingRole::Primary)
        );
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_computes_and_never_responds() {
    let store = Store::new();
    let primary = store.publish(Net::favouring(1, 1).draft("shadow")).await;
    let same = store.publish(Net::favouring(1, 3).draft("shadow")).await;
    let other = store.publish(Net::favouring(2, 2).draft("shadow")).await;
    let with = |shadow: CheckpointId| [(primary, Role::Primary, 1.0), (shadow, Role::Shadow, 0.0)];
    store.record("shadow", 1, &with(other));
    let service = Service::start(&store, "shadow", &["--poll-interval", "10ms"]).await;
    service.serves("shadow", 1).await;
    let mut client = service.client().await;
    let compared = |result: &str| {
        format!("digits_inference_shadow_comparisons_total{{model=\"shadow\",result=\"{result}\"}}")
    };
    for _ in 0..10 {
        let answer = predict(&mut client, pixels("shadow", image(2).repeat(3))).await;
        assert_eq!(served_by(&answer), (1, ServingRole::Primary));
    }
    // A shadow counts the images of a request after their comparisons.
    for name in [
        &compared("different"),
        "digits_inference_predictions_total{model=\"shadow\",role=\"shadow\",label=\"2\"}",
        "digits_inference_images_total{model=\"shadow\",role=\"shadow\"}",
    ] {
        service.until_series(name, |value| value == 30.0).await;
    }
    assert_eq!(metric(&service, &compared("same")).await, 0.0);
    let (_, text) = admin(&service, "/metrics").await;
    for name in ["answer_duration", "queue_wait"] {
        let of_shadow = text.lines().filter(|line| {
            line.starts_with(&format!("digits_inference_{name}"))
                && line.contains("role=\"shadow\"")
        });
        assert_eq!(of_shadow.count(), 0, "{name}: a shadow does neither");
    }
    assert_eq!(
        metric(
            &service,
            "digits_inference_shadow_dropped_total{model=\"shadow\"}"
        )
        .await,
        0.0
    );
    store.record("shadow", 2, &with(same));
    service.serves("shadow", 2).await;
    predict(&mut client, pixels("shadow", image(2))).await;
    service
        .until_series(&compared("same"), |value| value == 1.0)
        .await;

    // What was answered by a shadow cannot be reported of.
    let mut outcome = ReportOutcomeRequest {
        model: "shadow".into(),
        sequence: 2,
        predicted_label_index: 1,
        true_label_index: 1,
        role: ServingRole::Shadow.into(),
    };
    let status = client.report_outcome(outcome.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with("role"), "{}", status.message());
    outcome.role = 77;
    assert_eq!(
        client.report_outcome(outcome).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_cannot_serve_does_not_block_the_primary() {
    let store = Store::new();
    let net = Net::favouring(1, 1);
    let primary = store.publish(net.draft("hurt")).await;
    // Of another input: refused with this primary, though valid by itself.
    let mut brighter = Net::favouring(2, 2);
    brighter.input.mean = 0.5;
    let brighter = store.publish(brighter.draft("hurt")).await;
    store.record(
        "hurt",
        1,
        &[(primary, Role::Primary, 0.5), (brighter, Role::Canary, 0.5)],
    );
    let service = Service::start(&store, "hurt", &["--poll-interval", "10ms"]).await;
    let model = service.serves("hurt", 1).await;
    assert_eq!(model.served.len(), 1);
    let refusal = model.last_refusal.unwrap();
    assert_eq!(
        (&*refusal.reason, refusal.checkpoint_id),
        ("manifest", brighter.to_string())
    );
    let mut client = service.client().await;
    for number in 0..30 {
        let answer = predict(&mut client, keyed("hurt", &number.to_string())).await;
        assert_eq!(
            served_by(&answer),
            (1, ServingRole::Primary),
            "its share goes to the primary"
        );
    }
    // As a primary there is nothing wrong with it.
    store.record("hurt", 2, &[(brighter, Role::Primary, 1.0)]);
    service.serves("hurt", 2).await;
    assert_eq!(
        served_by(&predict(&mut client, pixels("hurt", image(1))).await).0,
        2
    );

    let damaged = store.serve_damaged("spare", 1, &net, Damage::BitFlip).await;
    store.record(
        "hurt",
        3,
        &[(primary, Role::Primary, 0.5), (damaged, Role::Canary, 0.5)],
    );
    let model = service.serves("hurt", 3).await;
    assert_eq!(
        model.last_refusal.unwrap().checkpoint_id,
        damaged.to_string()
    );

    // One whose files are not there yet joins when they are.
    let late = Net::favouring(4, 4).draft("hurt");
    let id = late.manifest.id;
    store.record(
        "hurt",
        4,
        &[(primary, Role::Primary, 0.5), (id, Role::Canary, 0.5)],
    );
    let model = service.serves("hurt", 4).await;
    assert_eq!(model.served.len(), 1);
    store.publish(late).await;
    let model = service.until("hurt", |model| model.served.len() == 2).await;
    assert_eq!(
        model.served[1].checkpoint.as_ref().unwrap().checkpoint_id,
        id.to_string()
    );
    assert_eq!(model.served[0].sequence, 4);
    service.end().await;
}

/// As an operator does it: `digits promote --canary`, then promote or drop.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_promoted_or_dropped_by_records_alone() {
    let store = Store::new();
    let model = "pair".parse().unwrap();
    let first = store.serve("pair", 1, &Net::favouring(1, 1)).await;
    let second = store.publish(Net::favouring(2, 2).draft("pair")).await;
    let service = Service::start(&store, "pair", &["--poll-interval", "10ms"]).await;
    service.serves("pair", 1).await;
    let mut client = service.client().await;
    let change = async |expected: u64, checkpoint, role, share| {
        let candidate = Candidate {
            checkpoint,
            role,
            share,
        };
        let record = promote(&store.storage, &model, expected, candidate, "test")
            .await
            .unwrap();
        service.serves("pair", record.sequence).await;
    };
    change(1, second, Role::Canary, Some(0.5)).await;
    let mut labels = BTreeSet::new();
    for number in 0..40 {
        labels.insert(served_by(&predict(&mut client, keyed("pair", &number.to_string())).await).0);
    }
    assert_eq!(labels, [1, 2].into());
    // Dropped: the primary is promoted again.
    change(2, first, Role::Primary, None).await;
    assert_eq!(
        served_by(&predict(&mut client, pixels("pair", image(1))).await),
        (1, ServingRole::Primary)
    );
    // Again, and promoted.
    change(3, second, Role::Canary, Some(0.5)).await;
    change(4, second, Role::Primary, None).await;
    assert_eq!(
        served_by(&predict(&mut client, pixels("pair", image(1))).await),
        (2, ServingRole::Primary)
    );
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_count_for_their_role_and_checkpoint() {
    let store = Store::new();
    let net = Net::favouring(1, 1);
    let primary = store.publish(net.draft("live")).await;
    let canary = store.publish(Net::favouring(2, 2).draft("live")).await;
    store.record(
        "live",
        1,
        &[(primary, Role::Primary, 0.5), (canary, Role::Canary, 0.5)],
    );
    let service = Service::start(&store, "live", &["--poll-interval", "10ms"]).await;
    let model = service.serves("live", 1).await;
    let reported = |model: &GetModelResponse| {
        let live = model.served.iter().map(|served| served.live);
        live.map(|live| live.map(|live| (live.outcomes, live.accuracy)))
            .collect::<Vec<_>>()
    };
    assert_eq!(reported(&model), [None, None]);
    let mut client = service.client().await;
    let mut report = async |sequence, role: ServingRole, predicted, actual| {
        let outcome = ReportOutcomeRequest {
            model: "live".into(),
            sequence,
            predicted_label_index: predicted,
            true_label_index: actual,
            role: role.into(),
        };
        client.report_outcome(outcome).await.unwrap();
    };
    let live = |role: &str| {
        format!("digits_inference_live_accuracy_ratio{{model=\"live\",role=\"{role}\"}}")
    };
    let outcomes =
        |role: &str| format!("digits_inference_live_outcomes{{model=\"live\",role=\"{role}\"}}");
    let cell = |role: &str, predicted: u32, actual: u32| {
        format!(
            "digits_inference_confusion_total{{model=\"live\",role=\"{role}\",predicted=\"{predicted}\",actual=\"{actual}\"}}"
        )
    };
    assert!(
        metric(&service, &live("primary")).await.is_nan(),
        "nothing was reported yet"
    );
    for actual in [1, 1, 1, 7] {
        report(1, ServingRole::Unspecified, 1, actual).await;
    }
    for actual in [2, 7] {
        report(1, ServingRole::Canary, 2, actual).await;
    }
    for (name, expected) in [
        (live("primary"), 0.75),
        (live("canary"), 0.5),
        (outcomes("primary"), 4.0),
        (outcomes("canary"), 2.0),
        (cell("primary", 1, 1), 3.0),
        (cell("primary", 1, 7), 1.0),
        (cell("canary", 2, 7), 1.0),
    ] {
        assert_eq!(metric(&service, &name).await, expected, "{name}");
    }
    let model = service.serves("live", 1).await;
    assert_eq!(reported(&model), [Some((4, 0.75)), Some((2, 0.5))]);
    // The window is bounded: a thousand newer ones leave nothing of the old.
    for _ in 0..1_000 {
        report(1, ServingRole::Primary, 1, 1).await;
    }
    assert_eq!(metric(&service, &outcomes("primary")).await, 1_000.0);
    assert_eq!(metric(&service, &live("primary")).await, 1.0);

    // Another checkpoint starts from zero, and outcomes of the previous one are only counted.
    store.record("live", 2, &[(canary, Role::Primary, 1.0)]);
    service.serves("live", 2).await;
    service
        .until_series(&outcomes("primary"), |value| value == 0.0)
        .await;
    report(1, ServingRole::Primary, 1, 7).await;
    report(2, ServingRole::Primary, 2, 2).await;
    assert_eq!(metric(&service, &live("primary")).await, 1.0);
    assert_eq!(metric(&service, &outcomes("primary")).await, 1.0);
    assert_eq!(metric(&service, &cell("primary", 1, 7)).await, 2.0);
    // So are those of a record that another replica serves already.
    report(9, ServingRole::Primary, 2, 7).await;
    assert_eq!(metric(&service, &outcomes("primary")).await, 1.0);
    assert_eq!(metric(&service, &cell("primary", 2, 7)).await, 1.0);
    service.end().await;
}
