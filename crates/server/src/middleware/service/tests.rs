//! The deadline that a service sees, and the count of requests that are dropped.

use std::sync::Mutex;
use std::time::Instant;

use http::HeaderValue;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;

use super::*;
use crate::config::ServerConfig;
use crate::middleware::{Deadline, RequestContext, RequestMetrics};

/// Never answers; keeps the deadlines of its requests.
#[derive(Clone, Default)]
struct Waits(Arc<Mutex<Vec<Deadline>>>);

impl NamedService for Waits {
    const NAME: &'static str = "test.v1.Waits";
}

impl Service<Request<Body>> for Waits {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RouteFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> RouteFuture {
        let deadline = RequestContext::of(request.extensions()).deadline;
        self.0.lock().expect("no panic").push(deadline);
        Box::pin(std::future::pending())
    }
}

fn request(timeout: Option<&'static str>) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static("/test.v1.Waits/Wait");
    if let Some(timeout) = timeout {
        let value = HeaderValue::from_static(timeout);
        request.headers_mut().insert("grpc-timeout", value);
    }
    request
}

fn service(waits: &Waits) -> InstrumentedService {
    let metrics = RequestMetrics::new("t", &["Wait"]);
    let state = ServerState::new(&ServerConfig::default(), metrics, CancellationToken::new());
    InstrumentedService::new(Routes::new(waits.clone()), Arc::new(state))
}

#[tokio::test]
async fn a_service_sees_the_deadline_of_its_request() {
    let waits = Waits::default();
    let last = || waits.0.lock().expect("no panic").pop().expect("called");
    let (registry, recorder) = digits_telemetry::metrics::build(&[]).expect("a recorder");
    metrics::with_local_recorder(&registry, || {
        let service = service(&waits);
        for timeout in [None, Some("1n"), Some("20S"), Some("99999999H")] {
            drop(service.handle(request(timeout)));
            let deadline = last();
            assert_eq!(deadline.instant().is_some(), timeout.is_some());
        }
        // The deadline of a request that arrived as plain HTTP was computed when it arrived.
        let mut http = request(None);
        let known = RequestContext::from(Deadline::from(Instant::now()));
        http.headers_mut()
            .insert("grpc-timeout", HeaderValue::from_static("20S"));
        known.clone().attach(&mut http);
        drop(service.handle(http));
        assert_eq!(last(), known.deadline);
    });
    let text = recorder.render();
    for (code, count) in [("CANCELLED", 3), ("DEADLINE_EXCEEDED", 2)] {
        let line = format!(r#"t_grpc_requests_total{{method="Wait",code="{code}"}} {count}"#);
        assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
    }
}
