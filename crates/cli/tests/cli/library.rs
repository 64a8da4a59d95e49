//! The library against services in this process.

use crate::services::{self, EVENTS, JOB, Trainer};
use digits_cli::{
    Error,
    client::Endpoints,
    evaluate::{self, evaluate},
    watch::{Notice, Options, watch},
};
use digits_dataset::{Images, LabelledImages};
use std::{sync::Arc, sync::atomic::Ordering::SeqCst, time::Duration};

async fn endpoints(trainer: &Arc<Trainer>) -> Endpoints {
    let url = services::start(trainer.clone()).await;
    Endpoints {
        trainer: url.clone(),
        inference: url,
        ..Endpoints::default()
    }
}

#[tokio::test]
async fn a_cut_watch_is_resumed_without_gap_or_repetition() {
    let trainer = Arc::new(Trainer::default());
    let client = endpoints(&trainer).await.training().expect("a URL");
    let (mut seen, mut cuts) = (Vec::new(), 0);
    let finished = watch(client, JOB, Options::default(), |notice| {
        match notice {
            Notice::Event(event) => seen.push(event.sequence),
            Notice::Interrupted { .. } => cuts += 1,
        }
        Ok(())
    })
    .await
    .expect("the job ends");
    assert_eq!(seen, (1..=EVENTS).collect::<Vec<_>>());
    assert_eq!((cuts, trainer.watches.load(SeqCst)), (2, 3));
    assert_eq!(finished.test.map(|test| test.correct), Some(9_000));
}

#[tokio::test]
async fn a_watch_begins_where_it_is_told_to_and_ends_with_an_error_of_its_watcher() {
    let trainer = Arc::new(Trainer::default());
    let client = endpoints(&trainer).await.training().expect("a URL");
    let options = Options {
        after_sequence: EVENTS - 1,
        ..Options::default()
    };
    let mut seen = Vec::new();
    let result = watch(client, JOB, options, |notice| {
        if let Notice::Event(event) = notice {
            seen.push(event.sequence);
        }
        Err(Error::Interrupted)
    })
    .await;
    assert!(matches!(result, Err(Error::Interrupted)));
    assert_eq!(seen, [EVENTS]);
}

#[tokio::test]
async fn a_watch_gives_up_at_once_or_after_its_patience() {
    let trainer = Arc::new(Trainer::default());
    let mut endpoints = endpoints(&trainer).await;
    let client = endpoints.training().expect("a URL");
    let unknown = watch(client, "nothing", Options::default(), |_| Ok(())).await;
    assert_eq!(unknown.expect_err("unknown").exit_code(), 1);

    // A port that nobody listens on: bound, and given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    endpoints.trainer = format!("http://{}", port.expect("a port"));
    let client = endpoints.training().expect("a URL");
    let options = Options {
        after_sequence: 5,
        patience: Duration::from_millis(250),
    };
    let error = watch(client, JOB, options, |_| Ok(()))
        .await
        .expect_err("nobody there");
    assert!(
        matches!(
            error,
            Error::WatchLost {
                after_sequence: 5,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.report(&endpoints)[1].contains("--after-sequence 5"));
}

#[tokio::test]
async fn a_set_is_measured_in_order() {
    let trainer = Arc::new(Trainer::default());
    let client = endpoints(&trainer).await.inference().expect("a URL");
    let labels = vec![7, 7, 1, 7, 7];
    let images = Images {
        count: 5,
        height: 2,
        width: 2,
        pixels: vec![0; 20],
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
