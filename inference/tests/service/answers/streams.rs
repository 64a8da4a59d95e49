//! PredictStream with slow readers, readers that disconnect, hot loads and deadlines.

use crate::support::{Client, Net, Service, Setup, Store, image, pixels, setup};
use digits_proto::v1::{PredictRequest, PredictStreamRequest};
use digits_testing::{patience, until};
use futures::{StreamExt as _, stream};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
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

/// Waits until `value` has stayed the same while another client was answered many times: then what
/// changes it most likely stands still, however slow the machine is.
async fn settled(value: &AtomicUsize, other: &mut Client) {
    const ANSWERS: usize = 200;
    let (mut last, mut unchanged) = (value.load(Ordering::Relaxed), 0);
    let settled = until("the stream stands still", async || {
        other.predict(pixels("", image(1))).await?;
        let now = value.load(Ordering::Relaxed);
        unchanged = if now == last { unchanged + 1 } else { 0 };
        last = now;
        Ok((unchanged == ANSWERS).then_some(()))
    });
    settled.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_its_writer_and_loses_no_response() {
    const REQUESTS: usize = 300;
    // Answers that are read slowly.
    const SLOW: usize = 100;
    // More than twice what windows and buffers hold.
    const AHEAD: usize = 100;
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &[]).await;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    // Requests of 78 kB, each with a response as large: 24 MB each way, more than any HTTP/2
    // window.
    let requests = stream::iter(0..REQUESTS as u64).map(move |number| {
        count.fetch_add(1, Ordering::Relaxed);
        wants_input("", number, 100)
    });
    let mut answers = client.predict_stream(requests).await.unwrap().into_inner();
    let mut other = service.client().await;
    settled(&written, &mut other).await;
    for number in 0..REQUESTS {
        // It is never far ahead of a slow reader.
        for _ in 0..if number < SLOW { 3 } else { 0 } {
            other.predict(pixels("", image(1))).await.unwrap();
        }
        let ahead = written.load(Ordering::Relaxed) - number;
        assert!(
            ahead <= AHEAD,
            "{ahead} requests were accepted beyond the {number} whose responses were read"
        );
        let answer = answers.message().await.unwrap().unwrap().response.unwrap();
        assert_eq!(answer.predictions.len(), 100);
        assert!(
            answer
                .predictions
                .iter()
                .all(|it| it.input == image(number as u64)),
            "answer {number}"
        );
    }
    assert!(answers.message().await.unwrap().is_none());
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_client_disconnects() {
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
    // No other test of the process cancels a stream.
    service.until_series(CANCELLED, |value| value == 1.0).await;
    // The client's writer notices too.
    timeout(patience(), send.closed()).await.unwrap();
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_uses_a_new_checkpoint_from_its_next_request() {
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
async fn a_stream_ends_between_two_requests_at_the_age_of_its_connection() {
    let Setup { service, .. } = setup("digits", &["--max-connection-age", "200ms"]).await;
    // On a slow machine a connection may reach its age before the first response.
    let status = until("a stream is answered and ends", async || {
        let (send, receive) = mpsc::channel(4);
        send.send(wants_input("", 1, 1)).await?;
        let mut client = service.client().await;
        let Ok(answers) = client.predict_stream(ReceiverStream::new(receive)).await else {
            return Ok(None);
        };
        let mut answers = answers.into_inner();
        let Ok(Some(_)) = answers.message().await else {
            return Ok(None);
        };
        // Its writer keeps it open: the age alone ends it.
        let ended = timeout(patience(), answers.message()).await?;
        Ok(Some(ended.unwrap_err()))
    });
    let status = status.await.unwrap();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(
        status.message().contains("open the stream again"),
        "{status:?}"
    );
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_deadline() {
    let Setup {
        service,
        mut client,
        ..
    } = setup("digits", &[]).await;
    // A machine that is too slow for the first answer within the deadline gets a longer one.
    let mut deadline_ms = 350;
    let (mut answers, _send) = until("an answer before the deadline", async || {
        deadline_ms *= 2;
        let (send, receive) = mpsc::channel(4);
        send.send(wants_input("", 1, 1)).await?;
        let mut request = Request::new(ReceiverStream::new(receive));
        let deadline = format!("{deadline_ms}m").parse()?;
        request.metadata_mut().insert("grpc-timeout", deadline);
        let Ok(answers) = client.predict_stream(request).await else {
            return Ok(None);
        };
        let mut answers = answers.into_inner();
        let first = answers.message().await;
        Ok(first.ok().flatten().map(|_| (answers, send)))
    })
    .await
    .unwrap();
    // It was answered once, and the writer keeps it open and sends no further request: only the
    // deadline ends it.
    let ended = timeout(patience(), answers.message()).await.unwrap();
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    service.end().await;
}
