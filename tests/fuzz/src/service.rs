//! One inference service in this process, started by the first input that needs it.

use crate::paths::repository;
use clap::Parser as _;
use digits_inference::{app::App, config::CommandLine, metrics};
use std::{net::SocketAddr, sync::OnceLock, time::Duration};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// Far more than a start takes.
const START: Duration = Duration::from_secs(60);

/// A running service and a connection to it.
pub struct Service {
    /// Runs the service and its client.
    pub runtime: Runtime,
    /// Its gRPC port.
    pub address: SocketAddr,
    /// The connection.
    pub channel: Channel,
}

impl Service {
    /// The service of this process.
    ///
    /// # Panics
    /// When it does not start.
    pub fn get() -> &'static Self {
        static SERVICE: OnceLock<Service> = OnceLock::new();
        SERVICE.get_or_init(|| {
            let runtime = Runtime::new().expect("a runtime");
            let (address, channel) = runtime.block_on(start());
            Self {
                runtime,
                address,
                channel,
            }
        })
    }
}

async fn start() -> (SocketAddr, Channel) {
    let storage = repository().join("tests/formats/0.1/storage");
    let flags = [
        "digits-inference",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        // An input takes milliseconds.
        "--max-picture-pixels",
        "1000000",
        "--storage",
    ];
    let flags = flags
        .map(str::to_owned)
        .into_iter()
        .chain([storage.display().to_string()]);
    let config = CommandLine::try_parse_from(flags).expect("flags").config;
    let recorder = metrics::install().expect("the first recorder");
    let app = App::bind(config, recorder).await.expect("bound");
    let addresses = app.addresses();
    tokio::spawn(app.run(CancellationToken::new()));
    let endpoint = Endpoint::from_shared(format!("http://{}", addresses.grpc)).expect("a URL");
    let channel = endpoint.connect().await.expect("connected");
    tokio::time::timeout(START, served(addresses.admin))
        .await
        .expect("served in time");
    (addresses.grpc, channel)
}

/// Waits until a checkpoint is served.
async fn served(admin: SocketAddr) {
    let is_ready = move || ureq::get(format!("http://{admin}/readyz")).call().is_ok();
    while !tokio::task::spawn_blocking(is_ready)
        .await
        .expect("no panic")
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
