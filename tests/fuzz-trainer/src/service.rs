//! One trainer in this process, started by the first input that needs it. Its queue is full, so that
//! inputs start no jobs.

use clap::Parser as _;
use digits_proto::v1::{
    DataSpec, JobSpec, PublishPolicy, PublishSpec, SubmitJobRequest, SyntheticSpec,
    training_service_client::TrainingServiceClient,
};
use digits_trainer::{app::App, config::Config};
use std::{path::Path, sync::OnceLock, time::Duration};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

/// A running trainer and a connection to it.
pub struct Service {
    /// Runs the service and its client.
    pub runtime: Runtime,
    /// The connection.
    pub channel: Channel,
    _folder: TempDir,
}

impl Service {
    /// The trainer of this process.
    ///
    /// # Panics
    /// When it does not start.
    pub fn get() -> &'static Self {
        static SERVICE: OnceLock<Service> = OnceLock::new();
        SERVICE.get_or_init(|| {
            let runtime = Runtime::new().expect("a runtime");
            let folder = tempfile::tempdir().expect("a folder");
            let channel = runtime.block_on(start(folder.path()));
            Self {
                runtime,
                channel,
                _folder: folder,
            }
        })
    }
}

async fn start(folder: &Path) -> Channel {
    let path = |name: &str| folder.join(name).display().to_string();
    let [storage, state] = [path("storage"), path("state")];
    let flags = [
        "digits-trainer",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--workers",
        "1",
        "--queue-capacity",
        "1",
        "--storage",
        &storage,
        "--state",
        &state,
    ];
    let config = Config::try_parse_from(flags).expect("flags");
    let (_, recorder) = digits_telemetry::metrics::build(&[]).expect("buckets");
    let app = App::bind(config, recorder).await.expect("bound");
    let address = app.addresses().grpc;
    tokio::spawn(app.run(CancellationToken::new()));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URL");
    let channel = endpoint.connect().await.expect("connected");
    fill_queue(channel.clone()).await;
    channel
}

/// Lets one job without end run, and another one wait.
async fn fill_queue(channel: Channel) {
    let mut training = TrainingServiceClient::new(channel);
    for request_id in ["runs", "waits"] {
        let request = SubmitJobRequest {
            request_id: request_id.to_owned(),
            spec: Some(endless()),
        };
        // The second one waits until the first one has left the queue.
        while let Err(status) = training.submit_job(request.clone()).await {
            assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A job that publishes nothing before its end.
fn endless() -> JobSpec {
    JobSpec {
        data: Some(DataSpec {
            dataset: Some("synthetic".to_owned()),
            synthetic: Some(SyntheticSpec {
                train_images: Some(600),
                test_images: Some(100),
                seed: Some(1),
            }),
            ..DataSpec::default()
        }),
        epochs: Some(10_000),
        publish: Some(PublishSpec {
            policy: PublishPolicy::Final.into(),
        }),
        ..JobSpec::default()
    }
}
