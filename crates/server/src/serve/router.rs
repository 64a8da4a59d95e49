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
            None => Box::pin(ready(Ok(Status::unimplemented("").into_http()))),
        }
    }
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
