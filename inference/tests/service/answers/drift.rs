//! Drift: full windows of answers are compared with the training set's figures in the manifest.

use crate::support::{Net, PIXELS, Service, Store, admin, image, pixels, series};
use digits_checkpoint::{manifest::TrainingSet, record::Role};

fn of_primary(name: &str) -> String {
    format!("{name}{{model=\"drift\",role=\"primary\"}}")
}

async fn gauge(service: &Service, name: &str) -> f64 {
    let (_, text) = admin(service, "/metrics").await;
    series(&text, &of_primary(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_full_window_is_compared_with_the_training_set() {
    let store = Store::new();
    let mut draft = Net::favouring(3, 5).draft("drift");
    // A fifth of the training set are threes; all requests will be.
    draft.manifest.training = Some(TrainingSet {
        label_counts: vec![100, 0, 0, 200, 100, 100, 100, 100, 100, 200],
        mean_ink: 0.13,
    });
    let first = store.publish(draft).await;
    store.record("drift", 1, &[(first, Role::Primary, 1.0)]);
    let service = Service::start(&store, "drift", &["--poll-interval", "10ms"]).await;
    service.serves("drift", 1).await;
    let mut client = service.client().await;
    client
        .predict(pixels("drift", image(1).repeat(999)))
        .await
        .unwrap();
    assert!(
        gauge(&service, "digits_inference_drift_labels_ratio")
            .await
            .is_nan(),
        "a window of 999 images is not full"
    );
    let answer = client
        .predict(pixels("drift", image(1)))
        .await
        .unwrap()
        .into_inner();
    let confidence = f64::from(answer.predictions[0].probabilities[3]);
    let ink = image(1).iter().map(|&x| f64::from(x)).sum::<f64>() / 255.0 / PIXELS as f64;
    for (name, expected) in [
        ("digits_inference_drift_labels_ratio", 0.8),
        ("digits_inference_ink_ratio", ink),
        ("digits_inference_training_ink_ratio", 0.13),
        // The manifest has 90 of 100.
        ("digits_inference_drift_confidence_ratio", confidence - 0.9),
    ] {
        let near = |value: f64| (value - expected).abs() < 1e-5;
        service.until_series(&of_primary(name), near).await;
    }
    // A checkpoint without figures is compared with nothing.
    store.serve("drift", 2, &Net::favouring(4, 6)).await;
    let labels = of_primary("digits_inference_drift_labels_ratio");
    service.until_series(&labels, f64::is_nan).await;
    client
        .predict(pixels("drift", image(1).repeat(1_000)))
        .await
        .unwrap();
    let ink = of_primary("digits_inference_ink_ratio");
    service.until_series(&ink, |value| !value.is_nan()).await;
    assert!(
        gauge(&service, "digits_inference_drift_labels_ratio")
            .await
            .is_nan()
    );
    assert!(
        gauge(&service, "digits_inference_training_ink_ratio")
            .await
            .is_nan()
    );
    service.end().await;
}
