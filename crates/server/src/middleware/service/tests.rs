//! What a service sees of its request's deadline, and how requests without an end are counted.

use std::sync::Mutex;

use tonic::server::NamedService;

use super::*;

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
        let deadline = Deadline::of(request.extensions());
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
    let state = ServerState {
        metrics: RequestMetrics::new("t", &["Wait"]),
        logging: RequestLogging::default(),
        max_in_flight: 10,
        in_flight: AtomicUsize::new(0),
        credentials: Credentials::default(),
        shutdown: CancellationToken::new(),
    };
    InstrumentedService::new(Routes::new(waits.clone()), Arc::new(state))
}

#[test]
fn a_service_sees_the_deadline_that_its_request_is_measured_by() {
    let waits = Waits::default();
    let last = || waits.0.lock().expect("no panic").pop();
    let (registry, recorder) = digits_telemetry::metrics::build(&[]).expect("a recorder");
    metrics::with_local_recorder(&registry, || {
        let service = service(&waits);
        for timeout in [None, Some("1n"), Some("20S"), Some("99999999H")] {
            let answer = service.begin(request(timeout));
            let guard = answer.guard.as_ref().expect("it was let in");
            assert_eq!(last(), Some(guard.deadline), "{timeout:?}");
            assert_eq!(guard.deadline.instant().is_some(), timeout.is_some());
        }
        // The deadline of a request that arrived as plain HTTP was computed when it arrived.
        let known = Deadline::from(Instant::now());
        let mut of_a_page = request(Some("20S"));
        of_a_page.extensions_mut().insert(known);
        drop(service.begin(of_a_page));
        assert_eq!(last(), Some(known));
    });
    let text = recorder.render();
    for (code, count) in [("CANCELLED", 3), ("DEADLINE_EXCEEDED", 2)] {
        let line = format!(r#"t_grpc_requests_total{{method="Wait",code="{code}"}} {count}"#);
        assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
    }
}
