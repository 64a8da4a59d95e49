//! PredictStream when it does not go smoothly: slow readers, readers that leave, hot loads, deadlines.

use crate::support::{Client, Net, Service, Setup, Store, admin, image, pixels, series, setup};
use digits_proto::v1::{PredictRequest, PredictStreamRequest};
use futures::{StreamExt as _, stream};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

fn wants_input(model: &str, number: u64, images: usize) -> PredictStreamRequest {
    PredictStreamRequest {
        request: Some(PredictRequest {
            want_input: true,
            ..pixels(model, image(number).repeat(images))
        }),
    }
}

/// Waits until `value` stays the same for a while.
async fn settled(value: &AtomicUsize) -> usize {
    let give_up = Instant::now() + Duration::from_secs(20);
    let (mut last, mut since) = (value.load(Ordering::Relaxed), Instant::now());
    while since.elapsed() < Duration::from_millis(500) {
        assert!(Instant::now() < give_up, "never came to rest");
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = value.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_its_writer_and_loses_nothing() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &[]).await;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    // 300 requests of 78 kB, each with an answer as large: 24 MB each way, more than any window of HTTP/2.
    let requests = stream::iter(0..300_u64).map(move |number| {
        count.fetch_add(1, Ordering::Relaxed);
        wants_input("", number, 100)
    });
    let mut answers = client.predict_stream(requests).await.unwrap().into_inner();
    let stopped = settled(&written).await;
    assert!(
        stopped < 200,
        "{stopped} of 300 were taken in from a client that reads nothing"
    );
    for number in 0..300 {
        let answer = answers.message().await.unwrap().unwrap().response.unwrap();
        assert_eq!(answer.predictions.len(), 100);
        assert!(
            answer
                .predictions
                .iter()
                .all(|it| it.input == image(number)),
            "answer {number}"
        );
    }
    assert!(answers.message().await.unwrap().is_none());
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_gone_ends_its_stream() {
    const CANCELLED: &str =
        "digits_inference_grpc_requests_total{method=\"PredictStream\",code=\"CANCELLED\"}";
    let Setup { service, .. } = setup("digits", &[]).await;
    // The wire to the client, which is cut.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (here, there) = (listener.local_addr().unwrap(), service.addresses.grpc);
    let wire = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(there).await.unwrap();
        copy_bidirectional(&mut near, &mut far).await
    });
    let mut client = Client::connect(format!("http://{here}")).await.unwrap();
    let (send, receive) = mpsc::channel(4);
    send.send(wants_input("", 1, 1)).await.unwrap();
    let requests = ReceiverStream::new(receive);
    let mut answers = client.predict_stream(requests).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();
    wire.abort();
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, text) = admin(&service, "/metrics").await;
        if series(&text, CANCELLED) == Some(1.0) {
            break;
        }
        assert!(Instant::now() < give_up, "the stream goes on\n{text}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The writer learns it too.
    tokio::time::timeout(Duration::from_secs(20), send.closed())
        .await
        .unwrap();
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_load_meets_a_stream_between_two_requests() {
    let store = Store::new();
    let net = |sequence: u64| Net::favouring(sequence as usize, sequence);
    store.serve("flow", 1, &net(1)).await;
    let service = Service::start(&store, "flow", &["--poll-interval", "10ms"]).await;
    service.serves("flow", 1).await;
    let mut client = service.client().await;
    let (send, receive) = mpsc::channel(1);
    let request = || PredictStreamRequest {
        request: Some(pixels("flow", image(2).repeat(12))),
    };
    send.send(request()).await.unwrap();
    let requests = ReceiverStream::new(receive);
    let mut answers = client.predict_stream(requests).await.unwrap().into_inner();
    for sequence in 1..=4 {
        if sequence > 1 {
            store.serve("flow", sequence, &net(sequence)).await;
            service.serves("flow", sequence).await;
            send.send(request()).await.unwrap();
        }
        let answer = answers.message().await.unwrap().unwrap().response.unwrap();
        assert_eq!(answer.served_by.unwrap().sequence, sequence);
        let labels = answer.predictions.iter().map(|it| it.label_index.unwrap());
        assert!(
            labels.into_iter().all(|label| u64::from(label) == sequence),
            "a torn answer"
        );
    }
    drop(send);
    assert!(answers.message().await.unwrap().is_none());
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_deadline() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &[]).await;
    let (send, receive) = mpsc::channel(4);
    send.send(wants_input("", 1, 1)).await.unwrap();
    let mut request = Request::new(ReceiverStream::new(receive));
    request
        .metadata_mut()
        .insert("grpc-timeout", "700m".parse().unwrap());
    let began = Instant::now();
    let mut answers = client.predict_stream(request).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();
    // The writer holds the stream open, and asks nothing more.
    let ended = tokio::time::timeout(Duration::from_secs(20), answers.message())
        .await
        .unwrap();
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(
        began.elapsed() >= Duration::from_millis(600),
        "{:?}",
        began.elapsed()
    );
    service.end().await;
}
