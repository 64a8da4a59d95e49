//! A real service on free ports over a folder of its own, with real checkpoints in it.

mod damage;
mod drawing;
mod net;

pub use damage::Damage;
pub use drawing::{DRAWN, comparing, drawn, guises, png_of};
pub use net::{Net, PIXELS, image};

use bytes::Bytes;
use clap::Parser as _;
use digits_checkpoint::{
    Draft, Storage,
    id::CheckpointId,
    manifest::FORMAT,
    publish,
    record::{Reason, Role, Route, ServingRecord},
};
use digits_inference::{
    app::{Addresses, App},
    config::CommandLine,
    metrics::BUCKETS,
};
use digits_proto::v1::{
    EncodedPictures, GetModelRequest, GetModelResponse, PredictRequest,
    inference_service_client::InferenceServiceClient, predict_request::Images,
};
use digits_telemetry::metrics::Recorder;
use digits_testing::until;
use jiff::Timestamp;
use std::{path::PathBuf, sync::OnceLock};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

pub type Client = InferenceServiceClient<Channel>;

/// The recorder of this process, which all services of all tests record to.
///
/// A test that asserts exact values reads series of a model whose name no other test uses. Series
/// without a model (`…_grpc_…`, the queue's) count what other tests do as well: of these a test
/// asserts at least what it did itself.
pub fn recorder() -> Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER
        .get_or_init(|| digits_telemetry::metrics::install(BUCKETS).unwrap())
        .clone()
}

/// A folder with checkpoints and serving records.
pub struct Store {
    pub folder: TempDir,
    pub storage: Storage,
}

impl Store {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().join("storage").to_str().unwrap()).unwrap();
        Self { folder, storage }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    pub async fn publish(&self, draft: Draft) -> CheckpointId {
        publish(&self.storage, draft).await.unwrap().id
    }

    /// Writes a serving record as another process would: the whole file appears at once.
    pub fn record(&self, model: &str, sequence: u64, routes: &[(CheckpointId, Role, f64)]) {
        self.record_at(Timestamp::now(), model, sequence, routes);
    }

    pub fn record_at(
        &self,
        at: Timestamp,
        model: &str,
        sequence: u64,
        routes: &[(CheckpointId, Role, f64)],
    ) {
        let record = record(at, sequence, routes, None);
        self.raw_record(model, sequence, &serde_json::to_vec(&record).unwrap());
    }

    /// As [`record`](Self::record), with the digest of the manifests.
    pub fn promised_record(
        &self,
        model: &str,
        sequence: u64,
        routes: &[(CheckpointId, Role, f64)],
        manifest_sha256: &str,
    ) {
        let digest = Some(manifest_sha256.to_owned());
        let record = record(Timestamp::now(), sequence, routes, digest);
        self.raw_record(model, sequence, &serde_json::to_vec(&record).unwrap());
    }

    pub fn raw_record(&self, model: &str, sequence: u64, bytes: &[u8]) {
        let folder = self.path().join("serving").join(model);
        std::fs::create_dir_all(&folder).unwrap();
        let unseen = self
            .folder
            .path()
            .join(format!("record-{model}-{sequence}"));
        std::fs::write(&unseen, bytes).unwrap();
        std::fs::rename(unseen, folder.join(format!("{sequence:020}.json"))).unwrap();
    }

    /// Publishes and serves.
    pub async fn serve(&self, model: &str, sequence: u64, net: &Net) -> CheckpointId {
        let id = self.publish(net.draft(model)).await;
        self.record(model, sequence, &[(id, Role::Primary, 1.0)]);
        id
    }

    /// Publishes a checkpoint, spoils it, and lets a record name it.
    pub async fn serve_damaged(
        &self,
        model: &str,
        sequence: u64,
        net: &Net,
        damage: Damage,
    ) -> CheckpointId {
        let draft = match damage {
            Damage::WrongExam => net.draft_with_wrong_exam(model),
            _ => net.draft(model),
        };
        let id = self.publish(draft).await;
        damage::damage_files(
            &self.path().join("checkpoints").join(id.to_string()),
            net,
            damage,
        );
        self.record(model, sequence, &[(id, Role::Primary, 1.0)]);
        id
    }
}

fn record(
    at: Timestamp,
    sequence: u64,
    routes: &[(CheckpointId, Role, f64)],
    manifest_sha256: Option<String>,
) -> ServingRecord {
    let route = |&(checkpoint, role, share): &(CheckpointId, Role, f64)| Route {
        checkpoint,
        role,
        share,
        manifest_sha256: manifest_sha256.clone(),
    };
    ServingRecord {
        format: FORMAT,
        sequence,
        nonce: format!("nonce-{sequence}"),
        routes: routes.iter().map(route).collect(),
        hold: false,
        reason: Reason::Published,
        by: "test".into(),
        note: None,
        at,
    }
}

/// A running service.
pub struct Service {
    pub addresses: Addresses,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Service {
    pub async fn start(store: &Store, models: &str, more: &[&str]) -> Self {
        let path = store.path();
        let base = [
            "x",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--shutdown-delay",
            "0",
        ];
        let own = ["--storage", path.to_str().unwrap(), "--models", models];
        let config = CommandLine::try_parse_from([&base[..], &own, more].concat())
            .unwrap()
            .config;
        let app = App::bind(config, recorder()).await.unwrap();
        app.announce().unwrap();
        let addresses = app.addresses();
        let stop = CancellationToken::new();
        let running = app.run(stop.clone());
        let task = tokio::spawn(async move {
            running.await.unwrap();
        });
        Self {
            addresses,
            stop,
            task,
        }
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.addresses.grpc)).unwrap();
        endpoint.connect().await.unwrap()
    }

    pub async fn client(&self) -> Client {
        InferenceServiceClient::new(self.channel().await).max_decoding_message_size(64 << 20)
    }

    /// Whether health over gRPC reports the whole server as serving.
    pub async fn is_serving(&self) -> bool {
        let request = HealthCheckRequest {
            service: String::new(),
        };
        let mut health = HealthClient::new(self.channel().await);
        let answer = health.check(request).await.unwrap().into_inner();
        answer.status() == ServingStatus::Serving
    }

    /// Waits until health over gRPC reports SERVING, which follows the swap of the checkpoint.
    pub async fn becomes_serving(&self) {
        let serving = until("health is SERVING", async || {
            Ok(self.is_serving().await.then_some(()))
        });
        serving.await.unwrap();
    }

    /// Waits until this sequence of the model serves.
    pub async fn serves(&self, model: &str, sequence: u64) -> GetModelResponse {
        self.until(model, |model| {
            model
                .served
                .first()
                .is_some_and(|served| served.sequence == sequence)
        })
        .await
    }

    pub async fn until(
        &self,
        model: &str,
        good: impl Fn(&GetModelResponse) -> bool,
    ) -> GetModelResponse {
        let mut client = self.client().await;
        let mut last = None;
        let found = until(model, async || {
            let request = GetModelRequest {
                model: model.into(),
            };
            let answer = client.get_model(request).await?.into_inner();
            last = Some(answer.clone());
            Ok(good(&answer).then_some(answer))
        })
        .await;
        found.unwrap_or_else(|error| panic!("{error}; it is {last:?}"))
    }

    /// Waits until a series of `/metrics` has a value for which `good` holds.
    pub async fn until_series(&self, name: &str, good: impl Fn(f64) -> bool) {
        let mut text = String::new();
        let found = until(name, async || {
            (_, text) = admin(self, "/metrics").await;
            Ok(series(&text, name).filter(|&value| good(value)))
        })
        .await;
        if let Err(error) = found {
            panic!("{error}\n{text}");
        }
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub fn pixels(model: &str, pixels: Vec<u8>) -> PredictRequest {
    PredictRequest {
        model: model.into(),
        images: Some(Images::Pixels(pixels.into())),
        ..PredictRequest::default()
    }
}

pub fn pictures(model: &str, encoded: Vec<Vec<u8>>) -> PredictRequest {
    let encoded = encoded.into_iter().map(Bytes::from).collect();
    let images = Some(Images::Pictures(EncodedPictures { encoded }));
    PredictRequest {
        model: model.into(),
        images,
        ..PredictRequest::default()
    }
}

/// The answer of the admin port at a path: status line and body.
pub async fn admin(service: &Service, path: &str) -> (String, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(service.addresses.admin)
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// Value of a series in Prometheus' text, by its beginning up to the value.
pub fn series(text: &str, series: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// A service with one network of the model, and a client of it.
pub struct Setup {
    pub net: Net,
    pub _store: Store,
    pub service: Service,
    pub client: Client,
}

pub async fn setup(model: &str, more: &[&str]) -> Setup {
    let store = Store::new();
    let net = Net::favouring(3, 77);
    store.serve(model, 1, &net).await;
    let service = Service::start(&store, model, more).await;
    service.serves(model, 1).await;
    let client = service.client().await;
    Setup {
        net,
        _store: store,
        service,
        client,
    }
}

/// A picture of some size.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_fn(width, height, |x, y| image::Luma([(x * 7 + y * 13) as u8]))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}
