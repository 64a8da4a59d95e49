//! Routes requests to services by name.
//!
//! A gRPC path is `/<service>/<method>`, so comparing the name is enough. `tonic::service::Routes`
//! goes through axum's router, which boxes both bodies again for each request.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// Characters of a client's name that are repeated in an error.
const MAX_NAME_CHARS: usize = 80;

/// The response of a generated server.
pub type RouteFuture =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send + 'static>>;

/// A service as tonic generates it: always ready, and cheap to clone.
pub trait GrpcService:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = RouteFuture>
    + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> GrpcService for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = RouteFuture>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// The services of a port, by name.
#[derive(Default)]
pub struct Routes {
    services: Vec<(&'static str, Box<dyn Route>)>,
}

trait Route: Send + Sync {
    fn call(&self, request: Request<Body>) -> RouteFuture;
}

impl<S: GrpcService> Route for S {
    fn call(&self, request: Request<Body>) -> RouteFuture {
        Service::call(&mut self.clone(), request)
    }
}

impl Routes {
    /// Routes to one service. The service that is called most should come first.
    #[must_use]
    pub fn new(service: impl GrpcService) -> Self {
        Self::default().add_service(service)
    }

    /// Adds a service. Of two services with one name, the first is called.
    #[must_use]
    pub fn add_service<S: GrpcService>(mut self, service: S) -> Self {
        self.services.push((S::NAME, Box::new(service)));
        self
    }

    /// Calls the service that the path names; UNIMPLEMENTED if there is none.
    pub(crate) fn call(&self, request: Request<Body>) -> RouteFuture {
        let name = service_name(request.uri().path());
        match self.services.iter().find(|(known, _)| *known == name) {
            Some((_, service)) => service.call(request),
            None => Box::pin(ready(Ok(self.unknown(name).into_http()))),
        }
    }

    /// Such as where the address of another server was given.
    fn unknown(&self, name: &str) -> Status {
        let known: Vec<_> = self.services.iter().map(|(known, _)| *known).collect();
        let (name, known) = (shortened(name), known.join(", "));
        Status::unimplemented(format!(
            "this server has no service {name:?}; it has {known}"
        ))
    }
}

/// Names the method in a response of a generated server to a method that the service does not have,
/// which has no message.
pub(crate) fn name_unknown_method(response: Response<Body>, path: &str) -> Response<Body> {
    let headers = response.headers();
    let unimplemented = headers
        .get(Status::GRPC_STATUS)
        .is_some_and(|code| code == "12");
    if !unimplemented || headers.contains_key(Status::GRPC_MESSAGE) {
        return response;
    }
    let (service, method) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or_default();
    let (service, method) = (shortened(service), shortened(method));
    let message = format!("this server offers no method {method:?} of the service {service}");
    Status::unimplemented(message).into_http()
}

/// The beginning of a client's text.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_NAME_CHARS).collect()
}

/// The text between the first two slashes; empty without two slashes.
fn service_name(path: &str) -> &str {
    path.strip_prefix('/')
        .and_then(|path| path.split_once('/'))
        .map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_a_service_does_not_have_is_named() {
        let unimplemented = Status::unimplemented("").into_http();
        let response = name_unknown_method(unimplemented, "/a.v1.A/Get");
        let message = response
            .headers()
            .get(Status::GRPC_MESSAGE)
            .expect("a message");
        let message = message.to_str().expect("text");
        assert!(
            message.contains("Get") && message.contains("a.v1.A"),
            "{message}"
        );
        let own = Status::unimplemented("own").into_http();
        let response = name_unknown_method(own, "/a.v1.A/Get");
        let message = response.headers().get(Status::GRPC_MESSAGE);
        assert_eq!(message.expect("a message"), "own");
        let unknown = Routes::default().unknown("b.v1.B");
        assert!(unknown.message().contains("b.v1.B"), "{unknown}");
    }

    #[test]
    fn the_first_segment_of_a_path_names_the_service() {
        for (path, name) in [
            ("/a.v1.A/Get", "a.v1.A"),
            ("/a.v1.A/", "a.v1.A"),
            ("/a.v1.A/Get/more", "a.v1.A"),
            ("/a.v1.A", ""),
            ("a.v1.A/Get", ""),
            ("//Get", ""),
            ("/", ""),
            ("", ""),
        ] {
            assert_eq!(service_name(path), name, "{path}");
        }
    }
}
