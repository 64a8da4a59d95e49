//! Clients that cancel many requests: those that hedge lose no other call, and a rapid reset
//! (CVE-2023-44487) ends its connection.

use digits_server::ServerConfig;
use tokio::io::AsyncWriteExt as _;

use crate::support::h2::{Client, END_STREAM, SAY, data, frame, headers};
use crate::support::{Running, eventually, say, series};

#[tokio::test]
async fn calls_cancelled_together_break_no_other_call() {
    let server = Running::start("t_hedging", ServerConfig::default()).await;
    let mut client = Client::connect(&server).await;
    for count in [64, 64, 64, 500, 64, 1000, 64, 64].repeat(4) {
        let mut bytes = client.cancelled(count / 2);
        let stream = client.stream();
        bytes.extend(headers(stream, SAY));
        bytes.extend(data(stream, END_STREAM, &frame("seven")));
        bytes.extend(client.cancelled(count / 2));
        client.connection.write_all(&bytes).await.expect("sent");
        let answered = client.answer(stream, "seven").await;
        assert_eq!(answered, Some(()), "a call beside {count} cancelled ones");
    }
    let cancelled = || series(r#"t_hedging_grpc_requests_total{method="Say",code="CANCELLED"}"#);
    eventually("they count as cancelled", || cancelled() == Some(7536.0)).await;
    let other = series(r#"t_hedging_grpc_requests_total{method="Say",code="INTERNAL"}"#);
    assert_eq!(other, None);
}

/// Sends batches of cancelled requests until the connection ends; returns how many were sent.
async fn attack(server: &Running, batch: usize, batches: usize) -> usize {
    let mut client = Client::connect(server).await;
    for sent in 0..batches {
        let bytes = client.cancelled(batch);
        let written = client.connection.write_all(&bytes).await;
        if written.is_err() || client.acknowledged().await.is_none() {
            return sent * batch;
        }
    }
    panic!("{} resets did not end the connection", batch * batches);
}

#[tokio::test]
async fn a_rapid_reset_ends_its_connection_and_no_other() {
    // Less than the client of the test below could send in the time that it takes.
    const RESETS: usize = 100_000;
    let server = Running::start("t_rapid_reset", ServerConfig::default()).await;
    let other = server.channel().await;
    // In one piece, and paced by acknowledgements.
    for batch in [RESETS, 64] {
        let sent = attack(&server, batch, RESETS / batch).await;
        assert!(sent < RESETS, "{sent} of {batch}");
        let answer = say(other.clone(), "seven").await;
        assert_eq!(answer.expect("said"), "seven");
    }
    let begun = || {
        let codes = ["CANCELLED", "INTERNAL"];
        let counts = codes.map(|code| {
            let labels = format!(r#"method="Say",code="{code}""#);
            series(&format!("t_rapid_reset_grpc_requests_total{{{labels}}}")).unwrap_or(0.0)
        });
        counts.iter().sum::<f64>()
    };
    eventually("the attack is over", || {
        series("t_rapid_reset_grpc_requests_in_flight") == Some(0.0)
    })
    .await;
    assert!(begun() < RESETS as f64, "{} requests were begun", begun());
}
