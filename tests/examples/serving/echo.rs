//! A minimal tonic server: one field of bytes in, one out, with tonic's defaults and no metrics,
//! limits or deadlines.

use anyhow::Result;
use bytes::Bytes;
use serde_json::json;
use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::Ipv4Addr,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{Service, http},
    server::{Grpc, NamedService, UnaryService},
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

/// Request and response. Its field has the number of `PredictRequest.pixels`, so that both servers
/// get the same bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(bytes = "bytes", tag = "2")]
    bytes: Bytes,
}

#[derive(Clone, Copy)]
struct Echo {
    answer_bytes: usize,
}

impl UnaryService<Payload> for Echo {
    type Response = Payload;
    type Future = Ready<Result<Response<Payload>, Status>>;

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let mut bytes = request.into_inner().bytes;
        bytes.truncate(self.answer_bytes);
        ready(Ok(Response::new(Payload { bytes })))
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

/// As a generated server has it.
impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = *self;
        Box::pin(async move {
            let codec = ProstCodec::<Payload, Payload>::default();
            Ok(Grpc::new(codec).unary(echo, request).await)
        })
    }
}

/// Serves on a free port, which it prints, until the process is killed.
pub async fn serve(answer_bytes: usize) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", json!({ "grpc": listener.local_addr()?.to_string() }));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .add_service(Echo { answer_bytes })
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
