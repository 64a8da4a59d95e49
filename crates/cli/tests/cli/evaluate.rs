//! The evaluation of a set by a scripted inference service.

use digits_cli::evaluate::{self, evaluate};
use digits_client::{InferenceClient, Options};
use digits_dataset::{Images, LabelledImages};
use digits_testing::services::{self, Trainer};
use std::sync::Arc;

#[tokio::test]
async fn responses_are_summed_in_the_order_of_the_images() {
    let url = services::start(Arc::new(Trainer::default())).await;
    let client = InferenceClient::new(&url, &Options::default()).expect("a URL");
    let labels = vec![7, 7, 1, 7, 7];
    let images = Images {
        count: 5,
        height: 2,
        width: 2,
        pixels: vec![0; 20].into(),
    };
    let options = evaluate::Options {
        images_per_request: 2,
        in_flight: 3,
        loss_batch: 2,
        ..evaluate::Options::default()
    };
    let mut progress = Vec::new();
    let set = LabelledImages { images, labels };
    let result = evaluate(&client, &set, &options, |done| progress.push(done))
        .await
        .expect("measured");
    // Logits 0 but for 3 at label 7: ln(9 + e³) − 3 where it is right, 3 more where it is not.
    let right = (9.0 + 3.0_f64.exp()).ln() - 3.0;
    assert!((result.loss - (right + 3.0 / 5.0)).abs() < 1e-12);
    assert!((result.loss_batch_mean - (right + 1.5 / 3.0)).abs() < 1e-12);
    assert_eq!(
        (result.images, result.correct, result.confusion.count(1, 7)),
        (5, 4, 1)
    );
    assert_eq!(progress, [2, 4, 5]);
    assert_eq!(result.versions.len(), 1);
}
