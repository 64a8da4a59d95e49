//! A real server on a free port with a small service whose calls can be held, and clients for it.

pub mod h2;
pub mod secrets;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll};

use digits_server::health::Health;
use digits_server::{Drained, GrpcServer, RequestMetrics, Routes, ServerConfig};
use digits_telemetry::metrics::Recorder;
use digits_testing::{patience, until};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::uri::PathAndQuery;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::client;
use tonic::codec::{CompressionEncoding, EnabledCompressionEncodings};
use tonic::server::{Grpc, NamedService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

pub const METHODS: &[&str] = &["/test.v1.Echo/Say", "/test.v1.Echo/Count"];

/// Largest message that the service accepts.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

type Messages = BoxStream<'static, Result<String, Status>>;

/// `Say` answers with its text; for `hold` it waits for the gate first, for `fail` it fails.
/// `Count` streams that many numbers; for `forever` it sends one and stays open.
#[derive(Clone)]
pub struct Echo {
    pub gate: watch::Sender<bool>,
    pub entered: watch::Sender<usize>,
}

impl Echo {
    async fn say(self, text: String) -> Result<Response<String>, Status> {
        self.entered.send_modify(|n| *n += 1);
        match text.as_str() {
            "fail" => return Err(Status::invalid_argument("text: must not be fail")),
            "hold" => {
                let mut gate = self.gate.subscribe();
                gate.wait_for(|open| *open).await.expect("the gate is kept");
            }
            _ => {}
        }
        Ok(Response::new(text))
    }

    async fn count(self, text: String) -> Result<Response<Messages>, Status> {
        if text == "forever" {
            let first = futures::stream::iter([Ok("0".to_owned())]);
            return Ok(Response::new(
                first
                    .chain(futures::stream::once(pending::<Result<String, Status>>()))
                    .boxed(),
            ));
        }
        let count: usize = text
            .parse()
            .map_err(|_| Status::invalid_argument("text: must be a number"))?;
        Ok(Response::new(
            futures::stream::iter((0..count).map(|n| Ok(n.to_string()))).boxed(),
        ))
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "test.v1.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let mut encodings = EnabledCompressionEncodings::default();
            encodings.enable(CompressionEncoding::Gzip);
            encodings.enable(CompressionEncoding::Deflate);
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default())
                .apply_compression_config(encodings, encodings)
                .apply_max_message_size_config(Some(MAX_MESSAGE_BYTES), None);
            Ok(match request.uri().path() {
                "/test.v1.Echo/Say" => grpc.unary(Say(echo), request).await,
                "/test.v1.Echo/Count" => grpc.server_streaming(Count(echo), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Say(Echo);

impl Service<Request<String>> for Say {
    type Response = Response<String>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(self.0.clone().say(request.into_inner()))
    }
}

struct Count(Echo);

impl Service<Request<String>> for Count {
    type Response = Response<Messages>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(self.0.clone().count(request.into_inner()))
    }
}

/// The recorder of this process, which all tests of the binary share.
fn recorder() -> &'static Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| digits_telemetry::metrics::install(&[]).expect("the first recorder"))
}

/// The value of a series, by its full name with labels; `None` when it is not exported.
pub fn series(name: &str) -> Option<f64> {
    let text = recorder().render();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().expect("a number"))
}

/// Polls until `check` holds.
pub async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let waited = until(what, async || Ok(check().then_some(()))).await;
    if let Err(error) = waited {
        panic!("{error}\n{}", recorder().render());
    }
}

/// A running server.
///
/// Its metrics are in the recorder of the process, under a prefix that no other test may use: so a
/// test can assert exact values while others run.
pub struct Running {
    pub address: SocketAddr,
    pub echo: Echo,
    pub health: Health,
    pub shutdown: CancellationToken,
    pub task: JoinHandle<Drained>,
}

impl Running {
    pub async fn start(prefix: &'static str, config: ServerConfig) -> Self {
        Self::start_with(prefix, config, |server| server, |routes| routes).await
    }

    pub async fn start_with(
        prefix: &'static str,
        config: ServerConfig,
        server: impl FnOnce(GrpcServer) -> GrpcServer,
        routes: impl FnOnce(Routes) -> Routes,
    ) -> Self {
        static PREFIXES: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
        let unused = PREFIXES.lock().expect("no panic").insert(prefix);
        assert!(unused, "two servers have the prefix {prefix}");
        recorder();
        let (bound, address) = GrpcServer::bind(config).await.expect("bound");
        let echo = Echo {
            gate: watch::Sender::new(false),
            entered: watch::Sender::new(0),
        };
        let (health, health_service) = Health::new(&["test.v1.Echo"]).await;
        let all = Routes::new(echo.clone()).add_service(health_service);
        let shutdown = CancellationToken::new();
        let serving = server(bound).serve(
            routes(all),
            RequestMetrics::new(prefix, METHODS),
            shutdown.clone(),
        );
        Self {
            address,
            echo,
            health,
            shutdown,
            task: tokio::spawn(serving),
        }
    }

    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address))
            .expect("an address")
            .connect()
            .await
            .expect("connected")
    }

    pub async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }

    /// Waits until `count` calls of `Say` have reached the service.
    pub async fn entered(&self, count: usize) {
        let mut entered = self.echo.entered.subscribe();
        within(entered.wait_for(|n| *n >= count))
            .await
            .expect("the service is kept");
    }

    pub async fn ended(self) -> Drained {
        within(self.task).await.expect("no panic")
    }
}

pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(patience(), future)
        .await
        .expect("in time")
}

pub async fn say(channel: Channel, text: &str) -> Result<String, Status> {
    call(channel, Request::new(text.to_owned()), "/test.v1.Echo/Say").await
}

pub async fn call(
    channel: Channel,
    request: Request<String>,
    path: &'static str,
) -> Result<String, Status> {
    let mut grpc = client::Grpc::new(channel);
    within(grpc.ready())
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<String, String>::default();
    let answer = within(grpc.unary(request, PathAndQuery::from_static(path), codec)).await?;
    Ok(answer.into_inner())
}

/// Calls `Say` of the services in this process, without a network.
pub async fn say_to(
    services: digits_server::InstrumentedService,
    text: &str,
) -> Result<String, Status> {
    let mut grpc = client::Grpc::new(services);
    within(grpc.ready())
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<String, String>::default();
    let request = Request::new(text.to_owned());
    let path = PathAndQuery::from_static("/test.v1.Echo/Say");
    Ok(within(grpc.unary(request, path, codec)).await?.into_inner())
}

pub async fn count(channel: Channel, text: &str) -> Result<tonic::Streaming<String>, Status> {
    let mut grpc = client::Grpc::new(channel);
    within(grpc.ready())
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/test.v1.Echo/Count");
    let codec = ProstCodec::<String, String>::default();
    let request = Request::new(text.to_owned());
    let answer = within(grpc.server_streaming(request, path, codec)).await?;
    Ok(answer.into_inner())
}

/// Sends `request` over a fresh connection and reads until the server closes it.
pub async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.expect("read");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A gRPC-Web request over HTTP/1.1.
pub fn post(host: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /test.v1.Echo/Say HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\n\
         X-Grpc-Web: 1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}
