//! The queue of large requests: those that wait for one checkpoint are computed together, expired
//! and abandoned ones are not computed, a full queue refuses, and hot loads under load lose
//! nothing.

use crate::support::{Net, PIXELS, Service, Store, admin, image, pixels, series};
use digits_checkpoint::{load, record::Role};
use digits_inference::{
    metrics::{BUCKETS, RoleLabel, RoleMetrics},
    model::LoadedModel,
    predict::{
        Pixels,
        batch::{BatchQueue, InlineLimits, QueueError, QueueLimits, WorkItem},
    },
};
use digits_proto::v1::PredictRequest;
use digits_server::ClientKey;
use digits_telemetry::{
    liveness::Liveness,
    metrics::{Recorder, build},
    supervisor::Supervisor,
};
use digits_testing::until;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tonic::Code;

const LIMITS: QueueLimits = QueueLimits {
    max_requests: 64,
    max_bytes: 1 << 20,
    inline: InlineLimits {
        max_request_multiply_adds: 0,
        max_image_multiply_adds: 0,
    },
};

/// A queue without workers, with metrics of its own.
struct Alone {
    queue: BatchQueue,
    metrics: Arc<RoleMetrics>,
    recorder: Recorder,
}

fn queue(limits: QueueLimits) -> Alone {
    let (local, recorder) = build(BUCKETS).unwrap();
    metrics::with_local_recorder(&local, || Alone {
        queue: BatchQueue::new(limits).unwrap(),
        metrics: Arc::new(RoleMetrics::new(&"digits".into(), RoleLabel::Canary, 10)),
        recorder,
    })
}

fn supervisor() -> Supervisor {
    Supervisor::new("digits_inference", Liveness::default())
}

async fn loaded_model(store: &Store, net: &Net) -> Arc<LoadedModel> {
    let id = store.publish(net.draft("digits")).await;
    let loaded = load(&store.storage, id).await.unwrap();
    Arc::new(LoadedModel::new(&loaded).unwrap())
}

impl Alone {
    fn item(&self, checkpoint: &Arc<LoadedModel>, pixels: Pixels) -> WorkItem {
        WorkItem {
            checkpoint: Arc::clone(checkpoint),
            metrics: Arc::clone(&self.metrics),
            pixels,
            deadline: None,
            client: ClientKey::default(),
        }
    }
}

fn bytes(images: &[u64]) -> Pixels {
    let all: Vec<u8> = images.iter().flat_map(|&number| image(number)).collect();
    Pixels::Bytes(all.into())
}

fn assert_logits(net: &Net, images: &[u64], logits: &[f32]) {
    assert_eq!(logits.len(), images.len() * net.classes());
    for (&number, logits) in images.iter().zip(logits.chunks_exact(net.classes())) {
        for (got, expected) in logits.iter().zip(net.logits(&image(number))) {
            assert!((got - expected).abs() < 1e-3, "{got} for {expected}");
        }
    }
}

#[tokio::test]
async fn requests_that_wait_for_one_checkpoint_are_computed_together_and_never_mixed() {
    let store = Store::new();
    let nets = [3, 4].map(|label| Net::with_hidden(&[300, 200], label, label as u64));
    let checkpoints = [
        loaded_model(&store, &nets[0]).await,
        loaded_model(&store, &nets[1]).await,
    ];
    let alone = queue(LIMITS);
    let (queue, recorder) = (&alone.queue, &alone.recorder);
    let mut answers = Vec::new();
    for number in 0..6_u64 {
        // Two checkpoints in turn, and requests of one to three images.
        let which = number as usize % 2;
        let images: Vec<u64> = (number..=number + number % 3).collect();
        let answer = queue.submit(alone.item(&checkpoints[which], bytes(&images)));
        answers.push((which, images, answer.unwrap()));
    }
    // Pixels of the other form cannot join the batch, but are still computed.
    let floats: Vec<f32> = image(9).iter().map(|&x| f32::from(x) / 255.0).collect();
    let floats = alone.item(&checkpoints[0], Pixels::Floats(Arc::new(floats)));
    answers.push((0, vec![9], queue.submit(floats).unwrap()));
    let waiting = "digits_inference_queue_requests";
    assert_eq!(series(&recorder.render(), waiting), Some(7.0));
    queue.start(&supervisor()).unwrap();
    for (which, images, answer) in answers {
        assert_logits(&nets[which], &images, &answer.await.unwrap().unwrap());
    }
    let text = recorder.render();
    for (name, expected) in [
        ("digits_inference_queue_batch_requests_count", 3.0),
        ("digits_inference_queue_batch_requests_sum", 7.0),
        (
            "digits_inference_queue_wait_duration_seconds_count{model=\"digits\",role=\"canary\"}",
            7.0,
        ),
        (waiting, 0.0),
    ] {
        assert_eq!(series(&text, name), Some(expected), "{name}\n{text}");
    }
}

#[tokio::test]
async fn overdue_and_cancelled_requests_are_not_computed() {
    let store = Store::new();
    let net = Net::favouring(3, 1);
    let checkpoint = loaded_model(&store, &net).await;
    let alone = queue(LIMITS);
    let (queue, recorder) = (&alone.queue, &alone.recorder);
    let overdue = WorkItem {
        deadline: Some(Instant::now()),
        ..alone.item(&checkpoint, bytes(&[1]))
    };
    let overdue = queue.submit(overdue).unwrap();
    drop(queue.submit(alone.item(&checkpoint, bytes(&[2]))).unwrap());
    let wanted = WorkItem {
        deadline: Some(Instant::now() + Duration::from_secs(3600)),
        ..alone.item(&checkpoint, bytes(&[3]))
    };
    let wanted = queue.submit(wanted).unwrap();
    queue.start(&supervisor()).unwrap();
    assert_logits(&net, &[3], &wanted.await.unwrap().unwrap());
    assert_eq!(overdue.await.unwrap(), Err(QueueError::Overdue));
    let text = recorder.render();
    for (name, expected) in [
        (
            "digits_inference_queue_not_computed_total{reason=\"overdue\"}",
            1.0,
        ),
        (
            "digits_inference_queue_not_computed_total{reason=\"abandoned\"}",
            1.0,
        ),
        (
            "digits_inference_queue_not_computed_total{reason=\"full\"}",
            0.0,
        ),
        ("digits_inference_queue_batch_requests_sum", 1.0),
        (
            "digits_inference_compute_duration_seconds_count{model=\"digits\",role=\"canary\"}",
            1.0,
        ),
    ] {
        assert_eq!(series(&text, name), Some(expected), "{name}\n{text}");
    }
}

#[tokio::test]
async fn a_full_queue_refuses_requests() {
    let store = Store::new();
    let net = Net::favouring(3, 1);
    let checkpoint = loaded_model(&store, &net).await;
    let submit = |to: &Alone, images: &[u64]| to.queue.submit(to.item(&checkpoint, bytes(images)));
    let by_count = queue(QueueLimits {
        max_requests: 2,
        ..LIMITS
    });
    let kept = [1, 2].map(|number| submit(&by_count, &[number]).unwrap());
    assert_eq!(submit(&by_count, &[3]).unwrap_err(), QueueError::Full);
    let text = by_count.recorder.render();
    let full = "digits_inference_queue_not_computed_total{reason=\"full\"}";
    assert_eq!(series(&text, full), Some(1.0));
    for name in ["requests", "capacity"] {
        let name = format!("digits_inference_queue_{name}");
        assert_eq!(series(&text, &name), Some(2.0), "{name}");
    }
    let by_bytes = queue(QueueLimits {
        max_bytes: 2 * PIXELS,
        ..LIMITS
    });
    // Larger than the limit, but alone.
    let large = submit(&by_bytes, &[1, 2, 3]).unwrap();
    assert_eq!(submit(&by_bytes, &[4]).unwrap_err(), QueueError::Full);
    // What was queued is computed, even by a queue that is dropped at once.
    by_bytes.queue.start(&supervisor()).unwrap();
    by_count.queue.start(&supervisor()).unwrap();
    drop((by_bytes, by_count));
    assert_logits(&net, &[1, 2, 3], &large.await.unwrap().unwrap());
    for (number, answer) in [1, 2].into_iter().zip(kept) {
        assert_logits(&net, &[number], &answer.await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_greedy_client_leaves_room_to_others() {
    let store = Store::new();
    let net = Net::favouring(3, 1);
    let checkpoint = loaded_model(&store, &net).await;
    let alone = queue(QueueLimits {
        max_requests: 16,
        ..LIMITS
    });
    let [greedy, polite] = [1, 2].map(ClientKey::from);
    let mut answers = Vec::new();
    let mut submit = |client| {
        let item = WorkItem {
            client,
            ..alone.item(&checkpoint, bytes(&[1]))
        };
        let submitted = alone.queue.submit(item);
        submitted.map(|answer| answers.push(answer))
    };
    let accepted = (0..32).filter(|_| submit(greedy).is_ok()).count();
    assert_eq!(accepted, 14);
    assert_eq!(submit(polite), Ok(()));
    assert_eq!(submit(greedy), Err(QueueError::Full));
    assert_eq!(submit(polite), Ok(()));
    alone.queue.start(&supervisor()).unwrap();
    for answer in answers {
        assert_logits(&net, &[1], &answer.await.unwrap().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_network_is_computed_in_the_queue() {
    let store = Store::new();
    // One image has more multiply-adds than are computed inline.
    let net = Net::with_hidden(&[3000, 1500], 5, 9);
    store.serve("large", 1, &net).await;
    let service = Service::start(&store, "large", &["--max-queued", "8"]).await;
    service.serves("large", 1).await;
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..24 {
        let mut client = service.client().await;
        callers.spawn(async move {
            let images: Vec<u64> = (number..number + 8).collect();
            let all: Vec<u8> = images.iter().flat_map(|&number| image(number)).collect();
            let request = PredictRequest {
                want_logits: true,
                ..pixels("large", all)
            };
            (images, client.predict(request).await)
        });
    }
    let (mut answered, mut refused) = (0, 0);
    while let Some(caller) = callers.join_next().await {
        match caller.unwrap() {
            (images, Ok(answer)) => {
                let predictions = answer.into_inner().predictions;
                let logits: Vec<f32> = predictions.into_iter().flat_map(|it| it.logits).collect();
                assert_logits(&net, &images, &logits);
                answered += 1;
            }
            (_, Err(status)) => {
                use tonic_types::StatusExt as _;
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                assert!(status.get_details_retry_info().is_some());
                refused += 1;
            }
        }
    }
    assert!(answered >= 8, "{answered} answered, {refused} refused");
    let (_, text) = admin(&service, "/metrics").await;
    let computed = series(&text, "digits_inference_queue_batch_requests_sum");
    // The other tests of this process count here too.
    assert!(computed >= Some(f64::from(answered)), "{text}");
    let of = "model=\"large\",method=\"Predict\",role=\"primary\"";
    for (name, expected) in [
        (
            format!("digits_inference_answer_duration_seconds_count{{{of}}}"),
            answered,
        ),
        (
            format!("digits_inference_answer_failures_total{{{of},reason=\"full\"}}"),
            refused,
        ),
        (
            format!("digits_inference_answer_failures_total{{{of},reason=\"failed\"}}"),
            0,
        ),
    ] {
        assert_eq!(series(&text, &name), Some(f64::from(expected)), "{name}");
    }
    service.end().await;
}

/// The network of sequence n predicts n mod 10; each fourth one is large enough for the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_hot_loads_under_load_lose_no_request() {
    const LOADS: u64 = 200;
    let store = Store::new();
    let mut checkpoints = Vec::new();
    for label in 0..10_u64 {
        let hidden: &[usize] = if label % 4 == 1 { &[800, 400] } else { &[16] };
        let net = Net::with_hidden(hidden, label as usize, label);
        checkpoints.push(store.publish(net.draft("busy")).await);
    }
    let record = |sequence: u64| {
        let checkpoint = checkpoints[sequence as usize % checkpoints.len()];
        store.record("busy", sequence, &[(checkpoint, Role::Primary, 1.0)]);
    };
    record(1);
    let service = Service::start(&store, "busy", &["--poll-interval", "10ms"]).await;
    service.serves("busy", 1).await;
    let (stop, newest) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut callers = Vec::new();
    for images in [1_usize, 1, 3, 30] {
        let (mut client, stop) = (service.client().await, Arc::clone(&stop));
        let newest = Arc::clone(&newest);
        callers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let request = pixels("busy", image(2).repeat(images));
                let answer = client.predict(request).await.unwrap().into_inner();
                let sequence = answer.served_by.unwrap().sequence;
                newest.fetch_max(sequence, Ordering::Relaxed);
                assert_eq!(answer.predictions.len(), images);
                for prediction in answer.predictions {
                    assert_eq!(u64::from(prediction.label_index.unwrap()), sequence % 10);
                }
            }
        }));
    }
    for sequence in 2..=LOADS + 1 {
        record(sequence);
        let answered = until("the new sequence answers", async || {
            Ok((newest.load(Ordering::Relaxed) >= sequence).then_some(()))
        });
        answered.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_picture_for_a_large_network_is_not_queued() {
    let store = Store::new();
    let net = Net::with_hidden(&[3000, 1500], 5, 9);
    store.serve("blank", 1, &net).await;
    let service = Service::start(&store, "blank", &[]).await;
    service.serves("blank", 1).await;
    let blank = PredictRequest {
        normalize_pixels: true,
        ..pixels("blank", vec![0; PIXELS])
    };
    let answer = service.client().await.predict(blank).await.unwrap();
    assert_eq!(answer.into_inner().predictions.len(), 1);
    let (_, text) = admin(&service, "/metrics").await;
    for name in ["queue_wait", "compute"] {
        let of = "{model=\"blank\",role=\"primary\"}";
        let name = format!("digits_inference_{name}_duration_seconds_count{of}");
        assert!(matches!(series(&text, &name), None | Some(0.0)), "{text}");
    }
    service.end().await;
}
