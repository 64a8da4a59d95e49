//! Tests against a receiver on the loopback interface with scripted responses.

use super::{
    messages::WriteRequest,
    points::{STALE, row},
    *,
};
use crate::{job::now_us, test_supervisor::supervisor};
use digits_testing::patience;
use metrics_exporter_prometheus::PrometheusHandle;
use prost::Message as _;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, channel},
    time::{Duration, Instant},
};

mod credentials;

/// A receiver without credentials.
fn open(address: Address) -> Receiver {
    Receiver {
        address,
        token_file: None,
        ca_file: None,
    }
}

/// Answers each push with the next of `statuses`, then with 204; returns the received requests.
fn receiver(statuses: Vec<&'static str>) -> (Address, mpsc::Receiver<WriteRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!(
        "http://{}/api/v1/write",
        listener.local_addr().expect("an address")
    );
    let (sender, received) = channel();
    let mut statuses = statuses.into_iter();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let request = read(&stream);
            let status = statuses.next().unwrap_or("204 No Content");
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            // Sent before the response, so that the request is here once the response is.
            let heard = sender.send(request).is_ok();
            stream.write_all(head.as_bytes()).expect("an answer");
            if !heard {
                return;
            }
        }
    });
    (address.parse().expect("an address"), received)
}

fn read(stream: &TcpStream) -> WriteRequest {
    read_with_head(stream).1
}

/// The lines of the head, in lower case, and what was pushed.
fn read_with_head(stream: impl io::Read) -> (Vec<String>, WriteRequest) {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        match line.trim() {
            "" => break,
            line => head.push(line.to_lowercase()),
        }
    }
    assert!(head[0].starts_with("post /api/v1/write"), "{head:?}");
    for header in [
        "content-encoding: snappy",
        "content-type: application/x-protobuf",
        "x-prometheus-remote-write-version: 0.1.0",
    ] {
        assert!(head.iter().any(|line| line == header), "{head:?}");
    }
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a length").parse().expect("a number");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let plain = snap::raw::Decoder::new()
        .decompress_vec(&body)
        .expect("snappy");
    let request = WriteRequest::decode(plain.as_slice()).expect("protobuf");
    (head, request)
}

/// Metrics of one test, and the handle that renders them.
fn metrics() -> (PushMetrics, PrometheusHandle) {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    (
        metrics::with_local_recorder(&recorder, PushMetrics::new),
        handle,
    )
}

fn has(handle: &PrometheusHandle, line: &str) -> bool {
    handle.render().lines().any(|one| one == line)
}

fn wait_for(handle: &PrometheusHandle, line: &str) {
    let deadline = Instant::now() + patience();
    while !has(handle, line) {
        assert!(
            Instant::now() < deadline,
            "no {line} in\n{}",
            handle.render()
        );
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_point_of_a_job_arrives_and_the_end_after_them() {
    let (address, received) = receiver(Vec::new());
    let (metrics, handle) = metrics();
    let remote_write = RemoteWrite::start(open(address), metrics, &supervisor()).expect("a thread");
    let job = JobId::generate();
    let mut curve = remote_write.curve(job, "a job", &[]);
    let now = now_us();
    // All within the same millisecond.
    let rows: Vec<CurveRow> = (0..45).map(|step| row(now, step)).collect();
    curve.rows(&rows);
    drop(curve);
    remote_write.close();
    let samples = steps(&received);
    let (end, points) = samples.split_last().expect("samples");
    let steps: Vec<f64> = points.iter().map(|(_, step)| *step).collect();
    assert_eq!(steps, (0..45).map(f64::from).collect::<Vec<f64>>());
    assert!(samples.is_sorted_by(|a, b| a.0 < b.0), "{samples:?}");
    assert_eq!(end.1.to_bits(), STALE);
    assert!(end.0 <= now_us() / 1_000, "nothing lies in the future");
    assert!(
        has(
            &handle,
            "digits_trainer_remote_write_samples_pushed_total 270"
        ),
        "{}",
        handle.render()
    );
    assert!(has(
        &handle,
        "digits_trainer_remote_write_backlog_samples 0"
    ));
}

/// Times and steps of what was pushed.
fn steps(received: &mpsc::Receiver<WriteRequest>) -> Vec<(i64, f64)> {
    let series = received.try_iter().flat_map(|request| request.timeseries);
    series
        .filter(|series| series.labels[0].value == "digits_trainer_curve_step")
        .flat_map(|series| series.samples)
        .map(|sample| (sample.timestamp, sample.value))
        .collect()
}

#[test]
fn a_process_that_follows_one_that_died_pushes_its_newest_points_at_the_same_times() {
    let now = now_us();
    let (long_ago, job) = (now - 60_000_000, JobId::generate());
    // All but the first within the same millisecond.
    let mut rows = vec![row(long_ago, 1)];
    rows.extend((2..=20).map(|step| row(now, step)));
    let push = |before: bool| {
        let (address, received) = receiver(Vec::new());
        let (metrics, _) = metrics();
        let remote_write =
            RemoteWrite::start(open(address), metrics, &supervisor()).expect("a thread");
        let (recorded, new) = rows.split_at(if before { rows.len() } else { 12 });
        if before {
            remote_write.curve(job, "a job", &[]).rows(recorded);
        } else {
            remote_write.push_again(job, "a job", recorded);
            remote_write.curve(job, "a job", recorded).rows(new);
        }
        remote_write.close();
        steps(&received)
    };
    let (pushed, again) = (push(true), push(false));
    assert_eq!(pushed.len(), 21, "{pushed:?}");
    assert_eq!(again[..11], pushed[1..12]);
    let (end, new) = again[11..].split_last().expect("an end");
    assert!(end.1.is_nan());
    assert_eq!(
        new.iter().map(|it| it.1).collect::<Vec<f64>>(),
        (13..=20).map(f64::from).collect::<Vec<f64>>()
    );
    // The first process may have pushed the end of the series after its newest point.
    assert!(new[0].0 > again[10].0 + 1, "{again:?}");
    assert!(again.is_sorted_by(|a, b| a.0 < b.0), "{again:?}");

    let (address, received) = receiver(Vec::new());
    let remote_write =
        RemoteWrite::start(open(address), metrics().0, &supervisor()).expect("a thread");
    remote_write.push_again(job, "a job", &[row(now - 3_600_000_000, 1)]);
    remote_write.close();
    assert!(
        steps(&received).is_empty(),
        "a receiver refuses what is old"
    );
}

#[test]
fn a_refusal_is_dropped_and_an_error_is_tried_again() {
    let (address, received) = receiver(vec![
        "400 Bad Request",
        "500 Internal Server Error",
        "429 Too Many Requests",
    ]);
    let (metrics, handle) = metrics();
    let remote_write = RemoteWrite::start(open(address), metrics, &supervisor()).expect("a thread");
    let mut refused = remote_write.curve(JobId::generate(), "a job", &[]);
    refused.rows(&[row(now_us(), 1)]);
    wait_for(
        &handle,
        r#"digits_trainer_remote_write_samples_dropped_total{reason="refused"} 6"#,
    );
    let mut curve = remote_write.curve(JobId::generate(), "a job", &[]);
    curve.rows(&[row(now_us(), 1)]);
    wait_for(
        &handle,
        "digits_trainer_remote_write_samples_pushed_total 6",
    );
    let requests: Vec<WriteRequest> = received.try_iter().collect();
    assert_eq!(requests.len(), 4);
    assert_ne!(requests[0], requests[1]);
    assert_eq!(requests[1], requests[2]);
    assert_eq!(requests[2], requests[3]);
    assert!(has(
        &handle,
        r#"digits_trainer_remote_write_samples_dropped_total{reason="failed"} 0"#
    ));
    drop((refused, curve));
    remote_write.close();
}

#[test]
fn a_request_holds_points_of_one_job() {
    let (address, received) = receiver(Vec::new());
    let (metrics, _) = metrics();
    let remote_write = RemoteWrite::start(open(address), metrics, &supervisor()).expect("a thread");
    let mut curves = [
        remote_write.curve(JobId::generate(), "a job", &[]),
        remote_write.curve(JobId::generate(), "a job", &[]),
    ];
    for curve in &mut curves {
        curve.rows(&[row(now_us(), 1)]);
    }
    drop(curves);
    remote_write.close();
    let jobs: Vec<String> = received
        .try_iter()
        .map(|request| {
            let job = request.timeseries[0].labels[1].value.clone();
            assert!(
                request
                    .timeseries
                    .iter()
                    .all(|series| series.labels[1].value == job)
            );
            job
        })
        .collect();
    assert_eq!(jobs.len(), 2);
    assert_ne!(jobs[0], jobs[1]);
}

#[test]
fn an_unreachable_receiver_loses_points_but_never_delays_the_training() {
    // Bound and closed again, so that no process listens there.
    let nowhere = TcpListener::bind("127.0.0.1:0")
        .and_then(|port| port.local_addr())
        .expect("a port");
    let (metrics, handle) = metrics();
    let address = format!("http://{nowhere}/").parse().expect("an address");
    let remote_write = RemoteWrite::start(open(address), metrics, &supervisor()).expect("a thread");
    let mut curve = remote_write.curve(JobId::generate(), "a job", &[]);
    curve.rows(&[row(now_us(), 1)]);
    wait_for(&handle, "digits_trainer_remote_write_backlog_samples 6");
    drop(curve);
    remote_write.close();
    assert!(
        has(
            &handle,
            r#"digits_trainer_remote_write_samples_dropped_total{reason="shutdown"} 6"#
        ),
        "{}",
        handle.render()
    );
}

#[test]
fn a_point_of_the_future_is_not_pushed() {
    let (address, received) = receiver(Vec::new());
    let (metrics, handle) = metrics();
    let remote_write = RemoteWrite::start(open(address), metrics, &supervisor()).expect("a thread");
    let mut curve = remote_write.curve(JobId::generate(), "a job", &[]);
    curve.rows(&[row(now_us() + 3_600_000_000, 1)]);
    wait_for(
        &handle,
        r#"digits_trainer_remote_write_samples_dropped_total{reason="clock"} 6"#,
    );
    drop(curve);
    remote_write.close();
    // The staleness marker lay in the future too.
    assert!(received.try_iter().next().is_none());
}

#[test]
fn points_that_arrive_before_the_thread_is_up_or_while_it_waits_are_pushed_in_order() {
    let queue = Queue::new(metrics().0);
    let labels = |name: &str| {
        Arc::new(Labels {
            job: JobId::generate(),
            name: name.to_owned(),
        })
    };
    let (first, second) = (labels("first"), labels("second"));
    let point = |step| Point::from(&row(now_us(), step));
    queue.push(&first, [point(1)].into_iter());
    queue.push(&second, [point(1), Point::end(i64::MAX)].into_iter());
    queue.push(&first, [point(2), Point::end(i64::MAX)].into_iter());
    let batch = queue.next().expect("a batch");
    assert_eq!(
        (batch.labels.name.as_str(), batch.points.len()),
        ("first", 3)
    );
    queue.close();
    let batch = queue.next().expect("a batch");
    assert_eq!(
        (batch.labels.name.as_str(), batch.points.len()),
        ("second", 2)
    );
    assert!(queue.next().is_none());
}

#[test]
fn a_full_queue_drops_its_oldest_points() {
    let (metrics, handle) = metrics();
    let queue = Queue::new(metrics);
    let labels = Arc::new(Labels {
        job: JobId::generate(),
        name: String::new(),
    });
    let steps = 0..50_001;
    queue.push(&labels, steps.map(|step| Point::from(&row(now_us(), step))));
    let dropped = r#"digits_trainer_remote_write_samples_dropped_total{reason="backlog_full"} 6"#;
    assert!(has(&handle, dropped), "{}", handle.render());
    assert!(has(
        &handle,
        "digits_trainer_remote_write_backlog_samples 300000"
    ));
    let batch = queue.next().expect("a batch");
    assert_eq!(batch.points.len(), 2_000);
    assert_eq!(batch.points[0].values[5].to_bits(), 1_f64.to_bits());
}
