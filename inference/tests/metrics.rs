//! What /metrics shows after everything was used is what `deploy/METRICS.md` lists: names, types, labels.
#![allow(clippy::unwrap_used)]

mod support;

use digits_checkpoint::{manifest::TrainingSet, record::Role};
use digits_proto::v1::{PredictRequest, ReportOutcomeRequest};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use support::{Damage, Net, PIXELS, Service, Store, admin, image, pixels, series};

/// Type and labels by name.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// The table of the page, below its heading for this service.
fn documented() -> Metrics {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/METRICS.md"))
            .unwrap();
    let inference = page.split("\n## Inference").nth(1).unwrap();
    let section = inference.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        (
            quoted(cells[1]).remove(0),
            (cells[2].to_owned(), quoted(cells[3]).into_iter().collect()),
        )
    })
    .collect()
}

fn shown(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            metrics.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((name, rest)) = line.split_once('{') {
            let suffixes = ["_bucket", "_sum", "_count"];
            let base = suffixes
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .filter(|base| metrics.contains_key(*base));
            let labels = &mut metrics.get_mut(base.unwrap_or(name)).unwrap().1;
            let inside = rest.split('}').next().unwrap();
            let names = inside
                .split(',')
                .map(|pair| pair.split('=').next().unwrap().to_owned());
            labels.extend(names.filter(|name| name != "le"));
        }
    }
    metrics
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_those_of_the_page() {
    let store = Store::new();
    let net = Net::with_hidden(&[256], 7, 3);
    let mut draft = net.draft("digits");
    draft.manifest.training = Some(TrainingSet {
        label_counts: vec![100, 0, 0, 200, 100, 100, 100, 100, 100, 200],
        mean_ink: 0.13,
    });
    let first = store.publish(draft).await;
    store.record("digits", 1, &[(first, Role::Primary, 1.0)]);
    let service = Service::start(&store, "digits", &["--poll-interval", "10ms"]).await;
    service.serves("digits", 1).await;
    let mut client = service.client().await;
    // The last one is large enough for the queue.
    for count in [1, 20, 4096] {
        client
            .predict(pixels("", image(1).repeat(count)))
            .await
            .unwrap();
    }
    client
        .predict(PredictRequest {
            min_probability: 1.0,
            ..pixels("", image(1))
        })
        .await
        .unwrap();
    client
        .predict(PredictRequest {
            normalize_pixels: true,
            ..pixels("", vec![0; PIXELS])
        })
        .await
        .unwrap();
    client.predict(pixels("", vec![1])).await.unwrap_err();
    for actual in [7, 7, 1] {
        let outcome = ReportOutcomeRequest {
            model: String::new(),
            sequence: 1,
            predicted_label_index: 7,
            true_label_index: actual,
            role: 0,
        };
        client.report_outcome(outcome).await.unwrap();
    }
    let bad = store
        .serve_damaged("digits", 2, &net, Damage::BitFlip)
        .await;
    service
        .until("digits", |model| model.last_refusal.is_some())
        .await;

    let (status, text) = admin(&service, "/metrics").await;
    assert!(status.contains("200"));
    let (documented, shown) = (documented(), shown(&text));
    assert!(!documented.is_empty());
    for (name, expected) in &documented {
        assert_eq!(shown.get(name), Some(expected), "{name}");
    }
    // Those of the process are the crate's that tells them; the end-to-end tests hold them against the page.
    for name in shown.keys().filter(|name| !name.starts_with("process_")) {
        assert!(documented.contains_key(name), "{name} is not documented");
    }
    let expected = [
        (
            "digits_inference_training_labels_ratio{model=\"digits\",role=\"primary\",label=\"3\"}",
            0.2,
        ),
        (
            "digits_inference_training_labels_ratio{model=\"digits\",role=\"primary\",label=\"1\"}",
            0.0,
        ),
        (
            "digits_inference_images_total{model=\"digits\",role=\"primary\"}",
            4118.0,
        ),
        (
            "digits_inference_predictions_total{model=\"digits\",role=\"primary\",label=\"7\"}",
            4117.0,
        ),
        (
            "digits_inference_predictions_total{model=\"digits\",role=\"primary\",label=\"0\"}",
            0.0,
        ),
        (
            "digits_inference_no_label_total{model=\"digits\",verdict=\"unsure\"}",
            1.0,
        ),
        (
            "digits_inference_no_label_total{model=\"digits\",verdict=\"blank\"}",
            1.0,
        ),
        (
            "digits_inference_compute_duration_seconds_count{model=\"digits\",role=\"primary\"}",
            4.0,
        ),
        (
            "digits_inference_confidence_ratio_count{model=\"digits\",role=\"primary\"}",
            4118.0,
        ),
        (
            "digits_inference_outcomes_total{model=\"digits\",role=\"primary\",result=\"right\"}",
            2.0,
        ),
        (
            "digits_inference_outcomes_total{model=\"digits\",role=\"primary\",result=\"wrong\"}",
            1.0,
        ),
        // The one that was refused had no part to be counted in.
        (
            "digits_inference_answer_duration_seconds_count{model=\"digits\",method=\"Predict\",role=\"primary\"}",
            5.0,
        ),
        (
            "digits_inference_answer_duration_seconds_count{model=\"digits\",method=\"ModelInfer\",role=\"primary\"}",
            0.0,
        ),
        (
            "digits_inference_queue_wait_duration_seconds_count{model=\"digits\",role=\"primary\"}",
            1.0,
        ),
        (
            "digits_inference_model_sequence{model=\"digits\",role=\"primary\"}",
            1.0,
        ),
        ("digits_inference_head_sequence{model=\"digits\"}", 2.0),
        ("digits_inference_behind_head{model=\"digits\"}", 1.0),
        (
            "digits_inference_checkpoint_step{model=\"digits\",role=\"primary\"}",
            4220.0,
        ),
        (
            "digits_inference_checkpoint_validation_loss{model=\"digits\",role=\"primary\"}",
            0.35,
        ),
        (
            "digits_inference_checkpoint_validation_accuracy_ratio{model=\"digits\",role=\"primary\"}",
            0.9,
        ),
        (
            "digits_inference_grpc_requests_total{method=\"Predict\",code=\"OK\"}",
            5.0,
        ),
        (
            "digits_inference_grpc_requests_total{method=\"Predict\",code=\"INVALID_ARGUMENT\"}",
            1.0,
        ),
        (
            "digits_inference_refusals_total{model=\"digits\",reason=\"digest\"}",
            1.0,
        ),
        (
            "digits_inference_reload_duration_seconds_count{model=\"digits\"}",
            1.0,
        ),
        (
            "digits_inference_publish_to_serve_seconds_count{model=\"digits\"}",
            0.0,
        ),
    ];
    for (name, value) in expected {
        assert_eq!(series(&text, name), Some(value), "{name}\n{text}");
    }
    assert!(
        !text.contains(&bad.to_string()),
        "a refused checkpoint has no series"
    );

    // A candidate that goes away leaves zeros behind, one checkpoint is 1, and a training set that it does not tell of has gone.
    let primary = store.publish(net.draft("digits")).await;
    let canary = store.publish(net.draft("digits")).await;
    store.record(
        "digits",
        3,
        &[(primary, Role::Primary, 0.9), (canary, Role::Canary, 0.1)],
    );
    service.serves("digits", 3).await;
    store.record("digits", 4, &[(primary, Role::Primary, 1.0)]);
    service.serves("digits", 4).await;
    let (_, text) = admin(&service, "/metrics").await;
    assert_eq!(
        series(
            &text,
            "digits_inference_model_sequence{model=\"digits\",role=\"canary\"}"
        ),
        Some(0.0)
    );
    let ones: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("digits_inference_model_info{") && line.ends_with(" 1"))
        .collect();
    assert_eq!(ones.len(), 1, "{ones:?}");
    assert!(ones[0].contains(&primary.to_string()) && ones[0].contains("job_id=\"job-1\""));
    let training = "digits_inference_training_labels_ratio{";
    assert!(!text.contains(training), "{text}");
    service.end().await;
}

/// A replica that starts, or that finds its head damaged, serves what was published long ago; that is no delay.
#[tokio::test(flavor = "multi_thread")]
async fn publishing_is_timed_for_what_came_while_it_was_followed() {
    let store = Store::new();
    let net = Net::favouring(3, 77);
    let a_week_ago = Timestamp::now() - SignedDuration::from_hours(7 * 24);
    let publish = async |model: &str, sequence: u64, at: Timestamp| {
        let id = store.publish(net.draft(model)).await;
        store.record_at(at, model, sequence, &[(id, Role::Primary, 1.0)]);
    };
    publish("restarted", 1, a_week_ago).await;
    publish("walked", 1, a_week_ago).await;
    store
        .serve_damaged("walked", 2, &net, Damage::BitFlip)
        .await;
    let models = "restarted,walked,fresh";
    let service = Service::start(&store, models, &["--poll-interval", "10ms"]).await;
    let told = async |model: &str, what: &str| {
        let (_, text) = admin(&service, "/metrics").await;
        let name = format!("digits_inference_publish_to_serve_seconds_{what}{{model=\"{model}\"}}");
        series(&text, &name).unwrap()
    };
    for model in ["restarted", "walked"] {
        service.serves(model, 1).await;
    }
    // The storage was read before this model had a record: its first one came while it was followed.
    service
        .until("fresh", |model| model.storage_read_at.is_some())
        .await;
    for (model, sequence) in [("restarted", 2), ("walked", 3), ("fresh", 1)] {
        publish(model, sequence, Timestamp::now()).await;
        service.serves(model, sequence).await;
        // It is told a moment after it serves, and what came before was told before.
        let give_up = Instant::now() + Duration::from_secs(20);
        while told(model, "count").await == 0.0 {
            assert!(Instant::now() < give_up, "{model} was not timed");
        }
        assert_eq!(told(model, "count").await, 1.0, "{model}");
        assert!(told(model, "sum").await < 3_600.0, "{model}");
    }
    service.end().await;
}
