//! Watching a job of a scripted trainer whose streams are cut.

use digits_client::{Error, Options, TrainerClient, WatchNotice, WatchOptions};
use digits_testing::services::{self, EVENTS, JOB, Trainer};
use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};
use tonic::Code;

async fn client(trainer: &Arc<Trainer>) -> TrainerClient {
    let url = services::start(trainer.clone()).await;
    TrainerClient::new(&url, &Options::default()).expect("a URL")
}

#[tokio::test]
async fn a_cut_watch_is_resumed_without_gap_or_repetition() {
    let trainer = Arc::new(Trainer::default());
    let (mut seen, mut cuts) = (Vec::new(), 0);
    let finished = client(&trainer)
        .await
        .watch(JOB, WatchOptions::default(), |notice| {
            match notice {
                WatchNotice::Event(event) => seen.push(event.sequence),
                WatchNotice::Interrupted { .. } => cuts += 1,
            }
            Ok::<(), Error>(())
        })
        .await
        .expect("the job ends");
    assert_eq!(seen, (1..=EVENTS).collect::<Vec<_>>());
    assert_eq!((cuts, trainer.watches.load(SeqCst)), (2, 3));
    assert_eq!(finished.test.map(|test| test.correct), Some(9_000));
}

/// Why a test's watcher ends its watch.
#[derive(Debug)]
struct Enough;

impl From<Error> for Enough {
    fn from(error: Error) -> Self {
        panic!("{error}")
    }
}

#[tokio::test]
async fn a_watch_begins_after_a_sequence_and_ends_with_an_error_of_its_watcher() {
    let trainer = Arc::new(Trainer::default());
    let options = WatchOptions {
        after_sequence: EVENTS - 1,
        ..WatchOptions::default()
    };
    let mut seen = Vec::new();
    let result = client(&trainer)
        .await
        .watch(JOB, options, |notice| {
            if let WatchNotice::Event(event) = notice {
                seen.push(event.sequence);
            }
            Err(Enough)
        })
        .await;
    assert!(matches!(result, Err(Enough)));
    assert_eq!(seen, [EVENTS]);
}

#[tokio::test]
async fn a_watch_ends_at_once_for_an_unknown_job_and_after_its_patience_without_a_trainer() {
    let trainer = Arc::new(Trainer::default());
    let ignore = |_: WatchNotice<'_>| Ok::<(), Error>(());
    let known = client(&trainer).await;
    let unknown = known.watch("nothing", WatchOptions::default(), ignore);
    match unknown.await.expect_err("unknown") {
        Error::Status { status, .. } => assert_eq!(status.code(), Code::NotFound),
        other => panic!("{other:?}"),
    }

    // A port that no process listens on: bound and released.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let url = format!("http://{}", port.expect("a port"));
    let unreachable = TrainerClient::new(&url, &Options::default()).expect("a URL");
    let options = WatchOptions {
        after_sequence: 5,
        patience: Duration::from_millis(250),
    };
    match unreachable.watch(JOB, options, ignore).await {
        Err(Error::WatchLost {
            after_sequence: 5, ..
        }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_submission_is_repeated_until_the_trainer_answers() {
    let trainer = Arc::new(Trainer::default());
    let client = client(&trainer).await;
    // Calls can be made from any task of a multi-threaded runtime.
    let submitting =
        tokio::spawn(async move { client.submit("r".to_owned(), Default::default()).await });
    let job = submitting.await.expect("no panic").expect("a job");
    assert_eq!(
        (job.job_id.as_str(), trainer.submissions.load(SeqCst)),
        (JOB, 2)
    );
}
