//! `/metrics` after every feature was used has exactly the metrics that `deploy/METRICS.md` lists,
//! by name, type and labels.

use crate::support::{Damage, Net, PIXELS, Service, Store, admin, image, pixels, series};
use digits_checkpoint::{manifest::TrainingSet, record::Role};
use digits_proto::v1::{PredictRequest, ReportOutcomeRequest};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Type and labels by name.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/METRICS.md");
    std::fs::read_to_string(path).unwrap()
}

/// The table of the page, below its heading for this service.
fn documented() -> Metrics {
    let page = page();
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
async fn exported_metrics_equal_the_documented_ones() {
    let store = Store::new();
    let net = Net::with_hidden(&[256], 7, 3);
    let mut draft = net.draft("page");
    draft.manifest.training = Some(TrainingSet {
        label_counts: vec![100, 0, 0, 200, 100, 100, 100, 100, 100, 200],
        mean_ink: 0.13,
    });
    let first = store.publish(draft).await;
    store.record("page", 1, &[(first, Role::Primary, 1.0)]);
    let service = Service::start(&store, "page", &["--poll-interval", "10ms"]).await;
    service.serves("page", 1).await;
    let mut client = service.client().await;
    // The last one is large enough for the queue.
    for count in [1, 20, 4096] {
        client
            .predict(pixels("page", image(1).repeat(count)))
            .await
            .unwrap();
    }
    client
        .predict(PredictRequest {
            min_probability: 1.0,
            ..pixels("page", image(1))
        })
        .await
        .unwrap();
    client
        .predict(PredictRequest {
            normalize_pixels: true,
            ..pixels("page", vec![0; PIXELS])
        })
        .await
        .unwrap();
    client.predict(pixels("page", vec![1])).await.unwrap_err();
    for actual in [7, 7, 1] {
        let outcome = ReportOutcomeRequest {
            model: "page".into(),
            sequence: 1,
            predicted_label_index: 7,
            true_label_index: actual,
            role: 0,
        };
        client.report_outcome(outcome).await.unwrap();
    }
    let bad = store.serve_damaged("page", 2, &net, Damage::BitFlip).await;
    service
        .until("page", |model| model.last_refusal.is_some())
        .await;
    // The last that the loader updates.
    let behind = "digits_inference_behind_head{model=\"page\"}";
    service.until_series(behind, |value| value == 1.0).await;

    let (status, text) = admin(&service, "/metrics").await;
    assert!(status.contains("200"));
    let (documented, shown) = (documented(), shown(&text));
    assert!(!documented.is_empty());
    for (name, expected) in &documented {
        assert_eq!(shown.get(name), Some(expected), "{name}");
    }
    let page = page();
    for line in text.lines() {
        let help = line.strip_prefix("# HELP ");
        let Some((name, help)) = help.and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        if name.starts_with("digits_") {
            let row = format!("| `{name}` |");
            let row = page.lines().find(|line| line.starts_with(&row)).unwrap();
            let expected = row.split('|').nth(4).unwrap().trim();
            let expected = expected.replace('`', "").replace(" (see below)", "");
            assert_eq!(help, expected, "{name}");
        }
    }
    // Process metrics come from a crate; the end-to-end tests compare them with the page.
    for name in shown.keys().filter(|name| !name.starts_with("process_")) {
        assert!(documented.contains_key(name), "{name} is not documented");
    }
    let expected = [
        (
            "digits_inference_training_labels_ratio{model=\"page\",role=\"primary\",label=\"3\"}",
            0.2,
        ),
        (
            "digits_inference_training_labels_ratio{model=\"page\",role=\"primary\",label=\"1\"}",
            0.0,
        ),
        (
            "digits_inference_images_total{model=\"page\",role=\"primary\"}",
            4118.0,
        ),
        (
            "digits_inference_predictions_total{model=\"page\",role=\"primary\",label=\"7\"}",
            4117.0,
        ),
        (
            "digits_inference_predictions_total{model=\"page\",role=\"primary\",label=\"0\"}",
            0.0,
        ),
        (
            "digits_inference_no_label_total{model=\"page\",verdict=\"unsure\"}",
            1.0,
        ),
        (
            "digits_inference_no_label_total{model=\"page\",verdict=\"blank\"}",
            1.0,
        ),
        (
            "digits_inference_compute_duration_seconds_count{model=\"page\",role=\"primary\"}",
            4.0,
        ),
        (
            "digits_inference_confidence_ratio_count{model=\"page\",role=\"primary\"}",
            4118.0,
        ),
        (
            "digits_inference_outcomes_total{model=\"page\",role=\"primary\",result=\"right\"}",
            2.0,
        ),
        (
            "digits_inference_outcomes_total{model=\"page\",role=\"primary\",result=\"wrong\"}",
            1.0,
        ),
        // The one that was refused had no part to be counted in.
        (
            "digits_inference_answer_duration_seconds_count{model=\"page\",method=\"Predict\",role=\"primary\"}",
            5.0,
        ),
        (
            "digits_inference_answer_duration_seconds_count{model=\"page\",method=\"ModelInfer\",role=\"primary\"}",
            0.0,
        ),
        (
            "digits_inference_model_sequence{model=\"page\",role=\"primary\"}",
            1.0,
        ),
        ("digits_inference_head_sequence{model=\"page\"}", 2.0),
        (
            "digits_inference_checkpoint_step{model=\"page\",role=\"primary\"}",
            4220.0,
        ),
        (
            "digits_inference_checkpoint_validation_loss{model=\"page\",role=\"primary\"}",
            0.35,
        ),
        (
            "digits_inference_checkpoint_validation_accuracy_ratio{model=\"page\",role=\"primary\"}",
            0.9,
        ),
        (
            "digits_inference_refusals_total{model=\"page\",reason=\"digest\"}",
            1.0,
        ),
        (
            "digits_inference_reload_duration_seconds_count{model=\"page\"}",
            1.0,
        ),
        (
            "digits_inference_publish_to_serve_seconds_count{model=\"page\"}",
            0.0,
        ),
    ];
    for (name, value) in expected {
        assert_eq!(series(&text, name), Some(value), "{name}\n{text}");
    }
    // Counted for the whole process; and a fast machine queues smaller requests than a slow one.
    for (name, at_least) in [
        (
            "digits_inference_grpc_requests_total{method=\"Predict\",code=\"OK\"}",
            5.0,
        ),
        (
            "digits_inference_grpc_requests_total{method=\"Predict\",code=\"INVALID_ARGUMENT\"}",
            1.0,
        ),
        (
            "digits_inference_queue_wait_duration_seconds_count{model=\"page\",role=\"primary\"}",
            1.0,
        ),
    ] {
        assert!(series(&text, name) >= Some(at_least), "{name}\n{text}");
    }
    assert!(
        !text.contains(&bad.to_string()),
        "a refused checkpoint has no series"
    );

    // After a candidate was dropped its gauges are 0, one checkpoint is named, and the training set
    // of the checkpoint before is gone.
    let primary = store.publish(net.draft("page")).await;
    let canary = store.publish(net.draft("page")).await;
    store.record(
        "page",
        3,
        &[(primary, Role::Primary, 0.9), (canary, Role::Canary, 0.1)],
    );
    service.serves("page", 3).await;
    store.record("page", 4, &[(primary, Role::Primary, 1.0)]);
    service.serves("page", 4).await;
    let canary = "digits_inference_model_sequence{model=\"page\",role=\"canary\"}";
    service.until_series(canary, |value| value == 0.0).await;
    let (_, text) = admin(&service, "/metrics").await;
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

/// A replica that starts, or that finds its head damaged, serves a record that was published long
/// ago. The age of such a record is not recorded as a delay.
#[tokio::test(flavor = "multi_thread")]
async fn publish_to_serve_covers_only_records_published_while_following() {
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
    let models = "restarted,walked,followed";
    let service = Service::start(&store, models, &["--poll-interval", "10ms"]).await;
    let timed = |model: &str, what: &str| {
        format!("digits_inference_publish_to_serve_seconds_{what}{{model=\"{model}\"}}")
    };
    for model in ["restarted", "walked"] {
        service.serves(model, 1).await;
    }
    // The storage was read before this model had a record, so its first one was seen while
    // following.
    service
        .until("followed", |model| model.storage_read_at.is_some())
        .await;
    for (model, sequence) in [("restarted", 2), ("walked", 3), ("followed", 1)] {
        publish(model, sequence, Timestamp::now()).await;
        service.serves(model, sequence).await;
        // Recorded after the swap; earlier records would have been counted before.
        service
            .until_series(&timed(model, "count"), |value| value > 0.0)
            .await;
        let (_, text) = admin(&service, "/metrics").await;
        assert_eq!(series(&text, &timed(model, "count")), Some(1.0), "{model}");
        assert!(
            series(&text, &timed(model, "sum")) < Some(3_600.0),
            "{model}"
        );
    }
    service.end().await;
}
