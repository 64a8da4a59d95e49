//! The services of a port by name, and the way of a request to its own.
//!
//! A gRPC path is `/<service>/<method>`, so nothing more than the name is compared. tonic's routes have the same form; they go
//! through a router of HTTP patterns, which keeps what the patterns matched and boxes both bodies anew for each request.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// The answer of a generated server.
pub type RouteFuture =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send + 'static>>;

/// A service as tonic generates them: always ready, and cheap to clone.
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

/// Services by name.
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
    /// Routes to one service. The one that is called most should come first.
    #[must_use]
    pub fn new(service: impl GrpcService) -> Self {
        Self::default().add_service(service)
    }

    /// Routes to a further service; of two with one name the first is called.
    #[must_use]
    pub fn add_service<S: GrpcService>(mut self, service: S) -> Self {
        self.services.push((S::NAME, Box::new(service)));
        self
    }

    /// The answer of the service that the path names; UNIMPLEMENTED where there is none.
    pub(crate) fn call(&self, request: Request<Body>) -> RouteFuture {
        let name = service_name(request.uri().path());
        match self.services.iter().find(|(known, _)| *known == name) {
            Some((_, service)) => service.call(request),
            None => Box::pin(ready(Ok(Status::unimplemented("").into_http()))),
        }
    }
}

/// What stands between the first two slashes; empty where there are not two.
fn service_name(path: &str) -> &str {
    path.strip_prefix('/')
        .and_then(|path| path.split_once('/'))
        .map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_by_their_paths() {
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
