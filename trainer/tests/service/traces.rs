//! The spans of a job are children of the request that submitted it, also after a restart.

use crate::support::{Server, endless_job, reach, small_job, watch_to_end};
use digits_proto::v1::{CancelJobRequest, JobSpec, JobState, SubmitJobRequest};
use digits_testing::collector::{Collector, hex, value};
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use std::path::Path;
use tonic::Request;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

async fn start(folder: &Path, collector: &Collector) -> Server {
    let endpoint = format!("http://{}", collector.address);
    Server::start(folder, &["--otlp-endpoint", &endpoint]).await
}

fn submission(request_id: &str, spec: JobSpec) -> Request<SubmitJobRequest> {
    let mut request = Request::new(SubmitJobRequest {
        request_id: request_id.to_owned(),
        spec: Some(spec),
    });
    let context = format!("00-{TRACE}-{PARENT}-01");
    let context = context.parse().expect("ASCII");
    request.metadata_mut().insert("traceparent", context);
    request
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn text(span: &Span, key: &str) -> String {
    match value(&span.attributes, key) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{key} is {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_span_of_a_job_is_a_child_of_its_request() {
    let mut collector = Collector::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &collector).await;
    let mut client = server.training().await;
    let job = client.submit_job(submission("a", small_job(1))).await;
    let job = job.expect("accepted").into_inner().job.expect("a job");
    watch_to_end(&mut client, &job.job_id, 0).await;
    // Another request for the same job changes nothing.
    let again = client.submit_job(submission("a", small_job(1))).await;
    again.expect("the same");
    drop(client);
    server.stop().await;

    let spans = collector.spans("digits-trainer", 4).await;
    let (submitted, trained) = (named(&spans, "SubmitJob"), named(&spans, "train"));
    assert_eq!((submitted.len(), trained.len()), (2, 1), "{spans:?}");
    let (submitted, trained) = (submitted[0], trained[0]);
    assert_eq!(hex(&submitted.trace_id), TRACE);
    assert_eq!(hex(&submitted.parent_span_id), PARENT);
    assert_eq!(hex(&trained.trace_id), TRACE);
    assert_eq!(trained.parent_span_id, submitted.span_id);
    assert_eq!(trained.kind(), SpanKind::Consumer);
    assert_eq!(text(trained, "digits.job_id"), job.job_id);
    assert_eq!(text(trained, "digits.job_state"), "succeeded");
    let step = value(&trained.attributes, "digits.step");
    assert!(matches!(step, Some(Value::IntValue(1..))), "{step:?}");
    assert!(trained.end_time_unix_nano > submitted.end_time_unix_nano);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_job_stays_in_its_trace() {
    let mut collector = Collector::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &collector).await;
    let mut client = server.training().await;
    let job = client.submit_job(submission("a", endless_job())).await;
    let job = job.expect("accepted").into_inner().job.expect("a job");
    reach(&mut client, &job.job_id, JobState::Running).await;
    drop(client);
    server.stop().await;
    let server = start(folder.path(), &collector).await;
    let mut client = server.training().await;
    reach(&mut client, &job.job_id, JobState::Running).await;
    let job_id = job.job_id.clone();
    let cancelled = client.cancel_job(CancelJobRequest { job_id }).await;
    cancelled.expect("cancelled");
    reach(&mut client, &job.job_id, JobState::Cancelled).await;
    drop(client);
    server.stop().await;

    let mut spans = Vec::new();
    while named(&spans, "train").len() < 2 {
        spans.extend(collector.spans("digits-trainer", 1).await);
    }
    let trained = named(&spans, "train");
    for (span, state) in trained.iter().zip(["queued", "cancelled"]) {
        assert_eq!(text(span, "digits.job_state"), state);
        assert_eq!(hex(&span.trace_id), TRACE);
        assert_eq!(span.parent_span_id, named(&spans, "SubmitJob")[0].span_id);
        // Neither is an error of the trainer.
        let status = span.status.clone().unwrap_or_default();
        assert_ne!(status.code(), StatusCode::Error);
    }
}
