//! The deadline of a request that arrives as plain HTTP.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use digits_server::{Deadline, RequestContext, ServerConfig};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status, client};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::support::{Running, raw, within};

type Seen = Arc<Mutex<Vec<Deadline>>>;

/// Answers at once and keeps the deadline of each request.
#[derive(Clone, Default)]
struct Watch(Seen);

impl NamedService for Watch {
    const NAME: &'static str = "test.v1.Watch";
}

impl Service<http::Request<Body>> for Watch {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = See(Arc::clone(&self.0));
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
            Ok(grpc.unary(method, request).await)
        })
    }
}

struct See(Seen);

impl Service<Request<String>> for See {
    type Response = Response<String>;
    type Error = Status;
    type Future = Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let deadline = RequestContext::of(request.extensions()).deadline;
        self.0.lock().expect("no panic").push(deadline);
        ready(Ok(Response::new(String::new())))
    }
}

#[tokio::test]
async fn a_call_from_plain_http_has_the_deadline_of_its_http_request() {
    let watch = Watch::default();
    let seen = Arc::clone(&watch.0);
    let http = {
        let seen = Arc::clone(&seen);
        |server: digits_server::GrpcServer| {
            server.with_http(move |services| {
                let call = async move |http: axum::extract::Request| {
                    let context = RequestContext::of(http.extensions());
                    seen.lock().expect("no panic").push(context.deadline);
                    let mut request = Request::new(String::new());
                    request.extensions_mut().insert(context);
                    let mut grpc = client::Grpc::new(services);
                    within(grpc.ready()).await.expect("always ready");
                    let path = PathAndQuery::from_static("/test.v1.Watch/See");
                    let codec = ProstCodec::<String, String>::default();
                    let answer = within(grpc.unary(request, path, codec)).await;
                    answer.map_or_else(|status| format!("{status:?}"), |_| "seen".to_owned())
                };
                axum::Router::new().route("/see", axum::routing::get(call))
            })
        }
    };
    let server = Running::start_with("t_deadlines", ServerConfig::default(), http, |routes| {
        routes.add_service(watch)
    })
    .await;
    for (header, has_deadline) in [("", false), ("grpc-timeout: 1H\r\n", true)] {
        let request =
            format!("GET /see HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n");
        let answer = raw(server.address, request.as_bytes()).await;
        assert!(answer.ends_with("seen"), "{answer}");
        let seen: Vec<_> = seen.lock().expect("no panic").drain(..).collect();
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0].instant().is_some(), has_deadline, "{header}");
    }
}
